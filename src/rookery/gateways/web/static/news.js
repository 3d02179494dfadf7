/* What changes on a page that is read: a bar tells what is new, and shows it when asked; nothing moves by itself. */
import { added, ask, compact, failed, find, findAll, gently, make, onAdded, pieces, say, setCount, swap, within } from "./page.js";

/** Pages; then a fresh one is quicker. */
const MOST = 10;

/** What was posted in this very page is on it already, and no news. `sent` settles when nothing is being sent. */
export const own = { ids: new Set(), sent: Promise.resolve() };

const path = location.pathname;
const first = !/[?&](before|after)=/.test(location.search);
const feed = first ? find("[data-live-feed], [data-notifications]") : null;
const kind = feed && (feed.dataset.liveFeed ?? "notifications");
const bar = feed && make("div", { className: "news-bar", ariaLive: "polite" });
feed?.prepend(bar);

/** Entries that wait to be shown, and their tweets. */
const waiting = new Map();
const focal = find("article.whole")?.dataset.tweet;
let newest = feed ? BigInt(feed.dataset.newest ?? 0) : 0n;
let replies = 0;

export function news() {
  entitle(find("[data-unread]")?.textContent);
  if (!feed) return;
  for (const one of entries(feed)) newest = newest > entryOf(one) ? newest : entryOf(one);
  replies = replyCount();
}

const entries = (root) => [...root.children].filter((one) => one.dataset.entry);
const entryOf = (article) => BigInt(article.dataset.entry);
const copiesOf = (id) => findAll(`article[data-tweet="${id}"]`);
const entryIn = (entry) => find(`:scope > [data-entry="${entry}"]`, feed);
const replyCount = () => Number(find(`[data-acts="${focal}"] [data-count=replies]`)?.dataset.n ?? 0);

function show(text, run) {
  if (!bar) return;
  if (!bar.firstElementChild) bar.append(make("button", { type: "button", className: "news" }));
  const button = bar.firstElementChild;
  button.onclick = run;
  if (button.textContent !== text) button.textContent = text;
}

function count() {
  if (waiting.size) show(say("news", { n: waiting.size }), catchUp);
  else bar?.replaceChildren();
}

/** An entry arrived in the home timeline. */
export function arrived(entry, tweet) {
  if (kind !== "home" || own.ids.has(entry) || entryIn(entry)) return;
  waiting.set(entry, tweet);
  count();
}

/** An entry left the home timeline; what is on the screen stays. */
export function left(entry) {
  if (kind !== "home") return;
  if (waiting.delete(entry)) count();
  const one = entryIn(entry);
  if (one?.getBoundingClientRect().top > innerHeight) one.remove();
}

/** A tweet is gone: a note stands in its place. */
export function gone(id) {
  for (const [entry, tweet] of waiting) if (tweet === id) waiting.delete(entry);
  if (kind === "home") count();
  for (const old of copiesOf(id)) {
    swap(old, make("div", { className: "tweet gone", id: old.id, tabIndex: -1 }, say("deleted")));
  }
}

/** A tweet says something else. */
export async function edited(id) {
  try {
    for (const whole of [false, true]) {
      const copies = copiesOf(id).filter((one) => one.matches(".whole") === whole);
      if (!copies.length) continue;
      const made = pieces(await ask(`/tweets/${id}/piece${whole ? "?whole=1" : ""}`)).firstElementChild;
      for (const old of copies) renew(old, made.cloneNode(true));
    }
  } catch (error) {
    if (error.status === 404) gone(id);
  }
}

/** `made` as the entry that `old` is, and for the same reason. */
function renew(old, made) {
  const { entry } = old.dataset;
  made.id = old.id;
  made.dataset.entry = entry;
  made.setAttribute("aria-labelledby", `a${entry}`);
  find(".head[id]", made).id = `a${entry}`;
  made.prepend(...findAll(":scope > .why", old));
  swap(old, made);
}

/** A tweet has other counts. */
export function counted(id, counts) {
  for (const one of findAll(`[data-acts="${id}"] [data-count]`)) {
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
  if (kind === "notifications") show(say("notifications", { n: number }), () => location.assign(path));
}

/** What happened can't be told one by one. */
export function lost() {
  show(say("resync"), () => location.assign(path));
}

/** Show an own tweet, just posted, where it belongs on this page. False where the page ends with it. */
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
  if (entryIn(entry)) return false;
  find(":scope > .empty", feed)?.remove();
  const older = entries(feed).find((one) => entryOf(one) < BigInt(entry));
  feed.insertBefore(article, older ?? find(":scope > [data-more]", feed));
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
    replies = replyCount();
    bar.replaceChildren();
    scrollTo({ top: kind === "home" ? 0 : scrollY, behavior: gently() });
    shown[0]?.focus({ preventScroll: kind === "home" });
  } catch (error) {
    button.disabled = false;
    failed(error);
  }
}

/** So many notifications are unread. */
export function unread(number) {
  const text = number > 99 ? "99+" : compact(number);
  for (const badge of findAll("[data-unread]")) {
    badge.textContent = text;
    badge.hidden = !number;
  }
  entitle(text);
}

function entitle(text) {
  const title = document.title.replace(/^\([^)]*\) | \([\d+]+\)(?= ·)/g, "");
  document.title = text ? `(${text}) ${title}` : title;
}

/** `hear` gets the ids of the tweets on the screen, at most 100. */
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
