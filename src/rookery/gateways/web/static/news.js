/* What changes on a page that is being read: a bar tells of what is new, and shows it when asked; nothing moves by itself. */
import { added, ask, compact, failed, gently, onAdded, pieces, say, setCount, swap, within } from "./page.js";

/** After so many pages of news a fresh page is quicker. */
const MOST = 10;

/** What was posted in this very page is on it already, and no news. */
export const own = {
  ids: new Set(),
  /** Settles when nothing is being sent. */
  under: Promise.resolve(),
  add(id) {
    this.ids.add(id);
  },
  during(sending) {
    this.under = sending;
  },
};

const path = location.pathname;
const first = !/[?&](before|after)=/.test(location.search);
const notifications = path === "/notifications";
const feed = first ? document.querySelector("[data-live-feed]") : null;
const kind = notifications ? "notifications" : feed?.dataset.liveFeed;
const bar = kind ? makeBar(feed ?? document.getElementById("main")) : null;

/** Entries that wait to be shown, and their tweets. */
const waiting = new Map();
const focal = document.querySelector("article.whole")?.dataset.tweet;
let newest = feed ? BigInt(feed.dataset.newest ?? 0) : 0n;
let replies = 0;

export function news() {
  if (!feed) return;
  for (const one of entries(feed)) newest = newest > entryOf(one) ? newest : entryOf(one);
  replies = Number(document.querySelector(`[data-acts="${focal}"] [data-count=replies]`)?.dataset.n ?? 0);
}

const entries = (root) => [...root.children].filter((one) => one.dataset.entry);
const entryOf = (article) => BigInt(article.dataset.entry);
const copiesOf = (id) => document.querySelectorAll(`article[data-tweet="${id}"]`);

function makeBar(host) {
  const made = document.createElement("div");
  made.className = "news-bar";
  made.setAttribute("aria-live", "polite");
  host.prepend(made);
  return made;
}

function show(text, run) {
  if (!bar) return;
  const button = bar.firstElementChild ?? document.createElement("button");
  if (button.textContent !== text) button.textContent = text;
  Object.assign(button, { type: "button", className: "news", onclick: run });
  if (!button.isConnected) bar.append(button);
}

function count() {
  if (waiting.size) show(say("news", { n: waiting.size }), catchUp);
  else bar?.replaceChildren();
}

/** An entry arrived in the home timeline. */
export function arrived(entry, tweet) {
  if (kind !== "home" || own.ids.has(entry) || feed.querySelector(`[data-entry="${entry}"]`)) return;
  waiting.set(entry, tweet);
  count();
}

/** An entry left the home timeline. What is on the screen, or above, stays where it is. */
export function left(entry) {
  if (waiting.delete(entry)) count();
  for (const one of kind === "home" ? feed.querySelectorAll(`[data-entry="${entry}"]`) : []) {
    if (one.getBoundingClientRect().top > innerHeight) one.remove();
  }
}

/** A tweet is gone: a note stands in its place. */
export function gone(id) {
  for (const [entry, tweet] of waiting) if (tweet === id) waiting.delete(entry);
  if (kind === "home") count();
  for (const old of copiesOf(id)) {
    const note = document.createElement("div");
    Object.assign(note, { className: "tweet gone", id: old.id, tabIndex: -1, textContent: say("deleted") });
    swap(old, note);
  }
}

/** A tweet says something else. */
export async function edited(id) {
  try {
    for (const whole of [false, true]) {
      const copies = [...copiesOf(id)].filter((one) => one.matches(".whole") === whole);
      if (!copies.length) continue;
      const made = pieces(await ask(`/tweets/${id}/piece${whole ? "?whole=1" : ""}`)).firstElementChild;
      for (const old of copies) renew(old, made.cloneNode(true));
    }
  } catch (error) {
    if (error.status === 404) gone(id);
  }
}

/** `made` as the entry that `old` is: with its ids, and the reason above it. */
function renew(old, made) {
  const { entry } = old.dataset;
  made.id = old.id;
  made.dataset.entry = entry;
  made.setAttribute("aria-labelledby", `a${entry}`);
  made.querySelector(".head[id]").id = `a${entry}`;
  made.prepend(...old.querySelectorAll(":scope > .why"));
  swap(old, made);
}

/** A tweet has other counts. */
export function counted(id, counts) {
  for (const one of document.querySelectorAll(`[data-acts="${id}"] [data-count]`)) {
    const number = counts[one.dataset.count];
    if (number !== undefined && String(number) !== one.dataset.n) setCount(one, number);
  }
  if (kind !== "thread" || id !== focal) return;
  const fresh = counts.replies - replies;
  if (fresh > 0) show(say("replies", { n: fresh }), catchUp);
  else bar.replaceChildren();
}

/** There are notifications that this page does not show. */
export function notified(number) {
  if (notifications && first) show(say("notifications", { n: number }), () => location.assign(path));
}

/** What happened can't be told one by one. */
export function lost() {
  show(say("resync"), () => location.assign(path));
}

/**
 * Show an own tweet, just posted, where it belongs on this page. False where this page is none that goes on: that of writing.
 */
export function posted(article, answered) {
  if (path === "/compose") return false;
  if (kind === "home" && !answered) insert(article);
  if (kind === "thread" && answered === focal) {
    replies += 1;
    insert(article);
  }
  return true;
}

/** Put an entry among the others, by its id. False where it is there already. */
function insert(article) {
  const { entry } = article.dataset;
  if (feed.querySelector(`[data-entry="${entry}"]`)) return false;
  feed.querySelector(":scope > .empty")?.remove();
  const older = entries(feed).find((one) => entryOf(one) < BigInt(entry));
  feed.insertBefore(article, older ?? feed.querySelector(":scope > [data-more]"));
  added(article);
  return true;
}

/** Fetch all that is newer, and show it on top. */
async function catchUp() {
  const button = bar.firstElementChild;
  if (button.disabled) return;
  button.disabled = true;
  try {
    const found = [];
    let after = newest;
    for (let page = 0; ; page += 1) {
      if (page === MOST) return location.assign(path);
      const made = entries(pieces(await ask(after ? `${path}?after=${after}` : path)));
      if (!made.length) break;
      found.unshift(...made);
      after = entryOf(made[0]);
      if (!newest) break;
    }
    const shown = found.filter(insert);
    newest = after;
    waiting.clear();
    replies = Number(document.querySelector(`[data-acts="${focal}"] [data-count=replies]`)?.dataset.n ?? 0);
    bar.replaceChildren();
    scrollTo({ top: kind === "home" ? 0 : scrollY, behavior: gently() });
    shown[0]?.focus({ preventScroll: kind === "home" });
  } catch (error) {
    button.disabled = false;
    failed(error);
  }
}

const badges = () => document.querySelectorAll("[data-unread]");
const title = () => document.title.replace(/^\([^)]*\) /, "");

/** So many notifications are unread. */
export function unread(number) {
  for (const badge of badges()) {
    badge.textContent = compact(number);
    badge.hidden = !number;
    badge.dataset.unread = number;
  }
  document.title = number ? `(${compact(number)}) ${title()}` : title();
}

/** The tweets on the screen: `hear` gets their ids, at most 100, when others are. */
export function watched(hear) {
  const seen = new Set();
  const watcher = new IntersectionObserver((changes) => {
    for (const { target, isIntersecting } of changes) {
      if (isIntersecting) seen.add(target);
      else seen.delete(target);
    }
    for (const one of seen) if (!one.isConnected) seen.delete(one);
    hear([...new Set([...seen].map((one) => one.dataset.tweet))].slice(0, 100));
  });
  onAdded((root) => within(root, "article[data-tweet]").forEach((one) => watcher.observe(one)));
}
