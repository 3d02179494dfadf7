/* What the modules share: the page's words, requests, toasts, and pieces of page that come later. */
const words = JSON.parse(document.getElementById("words")?.textContent ?? "{}");
export const { body } = document;
export const find = (selector, root = document) => root.querySelector(selector);
export const findAll = (selector, root = document) => [...root.querySelectorAll(selector)];
export const me = body.dataset.me;
const lang = document.documentElement.lang || "en";
// With the digits that the server writes.
export const locale = `${lang}-u-nu-latn`;

const plurals = new Intl.PluralRules(lang);
const compactly = new Intl.NumberFormat(locale, { notation: "compact", maximumFractionDigits: 1 });

/** A sentence of the page's language; `n` chooses among plural forms. */
export function say(name, values = {}) {
  let text = words[name] ?? "";
  if (typeof text === "object") text = text[plurals.select(values.n)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

/** A number as counts show it; nothing for none. */
export const compact = (number) => (number ? compactly.format(number) : "");

export function setCount(element, number) {
  element.dataset.n = number;
  element.textContent = compact(number);
}

/** What the server, or the way to it, refused. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The text of a piece of page; a `form` is sent. Raises Refused, with the status 0 where nobody answered. */
export async function ask(address, form) {
  let answer;
  try {
    const headers = { "X-Rookery-Fragment": "1" };
    // What is sent arrives also where the page is left meanwhile.
    answer = await fetch(address, { method: form ? "POST" : "GET", body: form, headers, keepalive: Boolean(form) });
  } catch {
    throw new Refused(0, say("offline"));
  }
  const text = await answer.text();
  if (answer.ok) return text;
  const told = answer.headers.get("content-type")?.startsWith("text/plain");
  throw new Refused(answer.status, told ? text : say("failed"));
}

let silence;

/** Say something for a moment. */
export function toast(text) {
  const place = find("[data-toast]");
  if (!place || !text) return;
  clearTimeout(silence);
  place.textContent = text;
  silence = setTimeout(() => (place.textContent = ""), 8000);
}

/** Say that something has failed; lead to log in who is not any more. */
export function failed(error) {
  if (error.status === 401) {
    location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  } else toast(error instanceof Refused ? error.message : say("failed"));
}

/** A piece of page as nodes. Raises Refused for a whole page, which is no answer to a script. */
export function pieces(html) {
  if (/^\s*<!doctype/i.test(html)) throw new Refused(200, say("failed"));
  return make("template", { innerHTML: html }).content;
}

export function make(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

const hearers = [];

/** Call `hear` with the page, and with all that is added to it later. */
export const onAdded = (hear) => hearers.push(hear);

export function added(root) {
  for (const hear of hearers) hear(root);
}

/** All that match in `root`, itself included. */
export const within = (root, selector) => [...(root.matches?.(selector) ? [root] : []), ...findAll(selector, root)];

/** Put `made` where `old` was; the focus stays where it was in there, and a menu open. */
export function swap(old, made) {
  const held = old.contains(document.activeElement) ? document.activeElement : null;
  if (find("details[open]", old)) find("details", made)?.setAttribute("open", "");
  old.replaceWith(made);
  added(made);
  if (!held) return;
  const { act } = held.dataset;
  const href = held.getAttribute("href");
  const same = act ? `[data-act="${act}"]` : href ? `a[href="${CSS.escape(href)}"]` : held.localName;
  (held === old ? made : (find(same, made) ?? made)).focus({ preventScroll: true });
}

/** How to scroll: at once for those who want less motion. */
export const gently = () => (matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth");

/** Whether another key is held, which makes it the browser's business. */
export const modified = (event) => event.ctrlKey || event.metaKey || event.altKey;

/** Wait until `delay` ms have passed without another call. */
export function settled(delay, run) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...given), delay);
  };
}
