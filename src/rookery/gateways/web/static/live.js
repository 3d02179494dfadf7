/* The live stream (docs/streams.md): kept open while the page is looked at, and taken up again where it was left. */
import { ask, body, me, settled } from "./page.js";
import { arrived, counted, edited, gone, left, lost, news, notified, own, unread, watched } from "./news.js";

const LONGEST_WAIT = 60_000;
const HIDDEN_FOR = 5 * 60_000;
/** The account's or the client's own ends: to try again at once would be of no use. */
const FINAL = [4401, 4429, 1008];

let offset = body.dataset.offset ?? "";
let socket = null;
let opening = false;
let ended = false;
let tries = 0;
let timer;
let seen = [];

export function live() {
  news();
  const badge = document.querySelector("[data-unread]");
  if (badge) unread(Number(badge.dataset.unread));
  if (!me) return;
  const watch = settled(300, () => send({ watch: seen }));
  watched((ids) => {
    if (ids.join() === seen.join()) return;
    seen = ids;
    watch();
  });
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(close, HIDDEN_FOR);
    else again(0);
  });
  addEventListener("online", () => again(0));
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => event.persisted && again(0));
  open();
}

function close() {
  clearTimeout(timer);
  socket?.close();
  socket = null;
}

/** Open in a while; longer after each failure, and never all clients at the same moment. */
function again(wait = Math.min(LONGEST_WAIT, 1000 * 2 ** tries++) * (0.5 + Math.random() / 2)) {
  clearTimeout(timer);
  if (!wait) tries = 0;
  timer = setTimeout(open, wait);
}

async function open() {
  if (ended || socket || opening) return;
  opening = true;
  try {
    const { ticket, url } = JSON.parse(await ask("/stream/ticket", new URLSearchParams({ csrf: body.dataset.csrf })));
    connect(ticket, url);
  } catch (error) {
    // 404: this network has no streams. 401, 403: who is logged in here is not any more.
    if ([401, 403, 404].includes(error.status)) ended = true;
    else again();
  } finally {
    opening = false;
  }
}

function connect(ticket, path) {
  const url = new URL(path, location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  url.search = new URLSearchParams({ ticket, ...(offset && { offset }) });
  const made = (socket = new WebSocket(url));
  made.onopen = () => send({ watch: seen });
  made.onmessage = (event) => {
    const message = JSON.parse(event.data);
    offset = message.offset ?? offset;
    told = told.then(() => handle(message)).catch(console.error);
  };
  made.onclose = (event) => {
    // Another one may be open by now, or the page was left.
    if (socket !== made) return;
    socket = null;
    if (FINAL.includes(event.code)) ended = true;
    else again();
  };
}

function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

/** Messages are handled one after the other. */
let told = Promise.resolve();

async function handle(message) {
  switch (message.type) {
    case "hello":
      tries = 0;
      break;
    case "entry":
      // Is it what this page is just posting? Its answer tells.
      if (message.item.tweet.author?.id === me) await own.under;
      arrived(message.item.id, message.item.tweet.id);
      break;
    case "removed":
      left(message.entry_id);
      break;
    case "deleted":
      gone(message.tweet_id);
      break;
    case "edited":
      await edited(message.tweet.id);
      break;
    case "counts":
      await own.under;
      counted(message.tweet_id, message.counts);
      break;
    case "notification":
      unread(message.unread);
      notified(message.unread);
      break;
    case "notifications_read":
      unread(message.unread);
      break;
    case "resync":
      lost();
      break;
  }
}
