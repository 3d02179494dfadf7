/* Keys for those who don't want to reach for the mouse. They can be switched off (WCAG 2.1.4). */
import { body, find, findAll, gently, make, modified, say } from "./page.js";

const NAME = "rookery-keys";
const SEARCH = "input[type=search]";
const HELP = [
  ["j", "next"],
  ["k", "previous"],
  ["Enter", "open"],
  ["l", "favorite"],
  ["r", "reply"],
  ["t", "retweet"],
  ["b", "bookmark"],
  ["n", "write"],
  ["/", "search"],
  ["g h", "home"],
  ["g n", "notifications"],
  ["?", "help"],
];
/** What guests can use. */
const FOR_ALL = ["next", "previous", "open", "home", "help"];
let last = null;
let going = 0;

const on = () => localStorage.getItem(NAME) !== "off";

export function keys() {
  document.addEventListener("keydown", pressed);
  document.addEventListener("focusin", (event) => (last = event.target.closest?.("article.tweet") ?? last));
  // So that they can be found, and switched on again.
  const button = make("button", { type: "button", className: "quiet", onclick: help }, say("keys"));
  find("footer.site")?.append(button);
}

function pressed(event) {
  if (event.defaultPrevented || event.isComposing || modified(event) || !on()) return;
  if (event.target.closest?.("input, textarea, select, dialog, [contenteditable]")) return;
  const went = Date.now() - going < 1500;
  going = 0;
  const act = went ? { h: () => go("/"), n: () => go("/notifications") }[event.key] : ACTS[event.key];
  if (act && act(event.target) !== false) event.preventDefault();
}

const ACTS = {
  j: () => step(1),
  k: () => step(-1),
  l: () => press("favorite"),
  t: () => press("retweet"),
  b: () => press("bookmark"),
  r: reply,
  n: write,
  "/": () => focusEnd(find(SEARCH)),
  g: () => void (going = Date.now()),
  "?": help,
  Enter: open,
};

const go = (address) => location.assign(address);

/** The tweet that keys are about: the last that had the focus. */
const current = () => (last?.isConnected ? last : null);

function step(by) {
  const all = findAll("article.tweet");
  if (!all.length) return false;
  const at = all.indexOf(current());
  // From nowhere, begin with what is on the screen.
  const seen = all.findIndex((one) => one.getBoundingClientRect().bottom > 80);
  const to = all[at < 0 ? Math.max(0, seen) : Math.min(all.length - 1, Math.max(0, at + by))];
  to.focus({ preventScroll: true });
  to.scrollIntoView({ block: "nearest", behavior: gently() });
}

function press(name) {
  const button = current() && find(`button[data-act="${name}"]`, current());
  return button ? button.click() : false;
}

function reply() {
  const tweet = current() ?? find("article.whole");
  const answer = find(".answer [data-content]");
  if (!tweet) return false;
  if (answer && tweet.matches(".whole")) focusEnd(answer);
  else find("[data-act=reply]", tweet)?.click();
}

function write() {
  const text = find("main > form[data-compose] [data-content]");
  if (text) focusEnd(text);
  else find('[data-key="n"]')?.click();
}

function focusEnd(text) {
  if (!text) return false;
  text.focus();
  text.setSelectionRange(text.value.length, text.value.length);
}

/** Enter on a tweet itself; on its links and buttons it does what it does there. */
function open(target) {
  return target.matches?.("article.tweet") ? find("a.at", target)?.click() : false;
}

function help() {
  const list = make("dl");
  for (const [key, name] of HELP) {
    if (name === "search" ? !find(SEARCH) : !body.dataset.me && !FOR_ALL.includes(name)) continue;
    const signs = key.split(" ").map((sign) => make("kbd", {}, sign));
    list.append(make("dt", {}, ...signs), make("dd", {}, say(`key_${name}`)));
  }
  const check = make("input", { type: "checkbox", checked: on() });
  check.onchange = () => localStorage.setItem(NAME, check.checked ? "on" : "off");
  const dialog = make(
    "dialog",
    { className: "help" },
    make("h2", { id: "help-title" }, say("keys")),
    list,
    make("label", { className: "row" }, check, say("keys_on")),
    make("form", { method: "dialog" }, make("button", { className: "button" }, say("close"))),
  );
  dialog.setAttribute("aria-labelledby", "help-title");
  dialog.onclose = () => dialog.remove();
  body.append(dialog);
  dialog.showModal();
}
