/* The live stream (docs/streams.md): kept open while the page is looked at, and taken up again where it was left. */
import { ask, body, me, settled } from "./page.js";
import { arrived, counted, edited, gone, left, lost, news, notified, own, unread, watched } from "./news.js";

const MINUTE = 60_000;
/** Ends after which to try again is of no use. */
const FINAL = [4401, 4429, 1008];

let { offset } = body.dataset;
let socket = null;
let opening = false;
let ended = false;
let tries = 0;
let timer;
let seen = [];
/** Messages are handled one after the other. */
let told = Promise.resolve();

export function live() {
  news();
  // Without an offset nothing is live here.
  if (!me || !offset) return;
  const watch = settled(600, () => send({ watch: seen }));
  watched((ids) => {
    if (ids.join() === seen.join()) return;
    seen = ids;
    watch();
  });
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(close, 5 * MINUTE);
    else again(0);
  });
  addEventListener("online", () => {
    close();
    again(0);
  });
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
function again(wait = Math.min(MINUTE, 1000 * 2 ** tries++) * (0.5 + Math.random() / 2)) {
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
    // No streams here, or logged in no more.
    if ([401, 403, 404].includes(error.status)) ended = true;
    else again();
  } finally {
    opening = false;
  }
}

function connect(ticket, path) {
  const url = new URL(path, location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  url.search = new URLSearchParams({ ticket, offset });
  const made = (socket = new WebSocket(url));
  made.onopen = () => send({ watch: seen });
  made.onmessage = (event) => {
    const message = JSON.parse(event.data);
    offset = message.offset ?? offset;
    told = told.then(() => HANDLERS[message.type]?.(message)).catch(console.error);
  };
  made.onclose = (event) => {
    if (socket !== made) return;
    socket = null;
    if (FINAL.includes(event.code)) ended = true;
    else again();
  };
}

function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

const HANDLERS = {
  hello: () => (tries = 0),
  async entry({ item }) {
    // Is it what this page is just posting? Its answer tells.
    if (item.tweet.author?.id === me) await own.sent;
    arrived(item.id, item.tweet.id);
  },
  removed: (message) => left(message.entry_id),
  deleted: (message) => gone(message.tweet_id),
  edited: (message) => edited(message.tweet.id),
  async counts(message) {
    await own.sent;
    counted(message.tweet_id, message.counts);
  },
  notification(message) {
    unread(message.unread);
    notified(message.unread);
  },
  notifications_read: (message) => unread(message.unread),
  resync: lost,
};
