/* Keys for those who don't want to reach for the mouse. They can be switched off (WCAG 2.1.4). */
import { body, gently, kept, say } from "./page.js";

const switches = kept("localStorage");
const NAME = "rookery-keys";
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
let last = null;
let going = 0;

const on = () => switches.get(NAME) !== "off";
const articles = () => [...document.querySelectorAll("article.tweet")];

export function keys() {
  document.addEventListener("keydown", pressed);
  document.addEventListener("focusin", (event) => (last = event.target.closest?.("article.tweet") ?? last));
  // Without keys, too, the help can be found, and the keys be switched on again.
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "quiet", textContent: say("keys") });
  button.addEventListener("click", help);
  document.querySelector("footer.site")?.append(button);
}

function pressed(event) {
  if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey || !on()) return;
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
  "/": search,
  g: () => void (going = Date.now()),
  "?": help,
  Enter: open,
};

const go = (address) => location.assign(address);

/** The tweet that keys are about: the one with the keyboard, or last with it, while it is there. */
const current = () => (last?.isConnected ? last : null);

function step(by) {
  const all = articles();
  if (!all.length) return false;
  const at = all.indexOf(current());
  // From nowhere, begin with what is on the screen.
  const seen = all.findIndex((one) => one.getBoundingClientRect().bottom > 80);
  const to = all[at < 0 ? Math.max(0, seen) : Math.min(all.length - 1, Math.max(0, at + by))];
  to.focus({ preventScroll: true });
  to.scrollIntoView({ block: "nearest", behavior: gently() });
}

function press(name) {
  const button = current()?.querySelector(`button[data-act="${name}"]`);
  if (!button) return false;
  button.click();
}

function reply() {
  const tweet = current() ?? document.querySelector("article.whole");
  const answer = document.querySelector(".answer [data-content]");
  if (!tweet) return false;
  if (answer && tweet.matches(".whole")) focusEnd(answer);
  else tweet.querySelector("[data-act=reply]")?.click();
}

function write() {
  const form = document.querySelector("main > form[data-compose] [data-content]");
  if (form) focusEnd(form);
  else document.querySelector('[data-key="n"]')?.click();
}

function focusEnd(text) {
  text.focus();
  text.setSelectionRange(text.value.length, text.value.length);
}

function search() {
  const field = document.querySelector("input[type=search]");
  if (!field) return false;
  field.focus();
}

/** Enter opens the tweet itself; on links and buttons in it, it does what it does there. */
function open(target) {
  const link = target.matches?.("article.tweet") && target.querySelector("a.at");
  if (!link) return false;
  link.click();
}

function help() {
  const dialog = document.createElement("dialog");
  dialog.className = "help";
  dialog.setAttribute("aria-labelledby", "help-title");
  const title = Object.assign(document.createElement("h2"), { id: "help-title", textContent: say("keys") });
  const list = document.createElement("dl");
  for (const [key, name] of HELP) {
    if (!body.dataset.me && !["next", "previous", "open", "home", "help"].includes(name)) continue;
    const term = document.createElement("dt");
    term.append(
      ...key.split(" ").map((one) => Object.assign(document.createElement("kbd"), { textContent: one })),
    );
    list.append(term, Object.assign(document.createElement("dd"), { textContent: say(`key_${name}`) }));
  }
  const label = Object.assign(document.createElement("label"), { className: "row" });
  const check = Object.assign(document.createElement("input"), { type: "checkbox", checked: on() });
  check.addEventListener("change", () => switches.set(NAME, check.checked ? null : "off"));
  label.append(check, say("keys_on"));
  const form = Object.assign(document.createElement("form"), { method: "dialog" });
  form.append(Object.assign(document.createElement("button"), { className: "button", textContent: say("close") }));
  dialog.append(title, list, label, form);
  body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
}
