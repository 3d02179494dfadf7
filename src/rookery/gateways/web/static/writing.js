/* Writing: the counter, the text kept until it is sent, and sending without leaving the page. */
import { ask, body, failed, kept, onAdded, pieces, say, settled, toast, within } from "./page.js";
import { LIMIT, weigh } from "./weight.js";
import { own, posted } from "./news.js";

const texts = kept("sessionStorage");
/** What the server said that words weigh. */
const known = new Map();

export function writing() {
  onAdded((root) => within(root, "form[data-compose]").forEach(prepare));
  // Who logs out leaves nothing behind for who comes next.
  document.addEventListener("submit", (event) => {
    if (event.target.getAttribute("action") === "/logout") texts.set(`text ${body.dataset.me}`, null);
  });
}

function prepare(form) {
  if ("prepared" in form.dataset) return;
  form.dataset.prepared = "";
  const text = form.querySelector("[data-content]");
  const output = form.querySelector("[data-weight]");
  const submit = form.querySelector("[data-submit]");
  const key = form.elements.namedItem("key");
  const name = [form.getAttribute("action"), "reply_to", "quote_of"]
    .map((part, place) => (place ? (form.elements.namedItem(part)?.value ?? "") : part))
    .join(" ");
  let sending = false;
  let tried = false;
  let flaw = "";

  const count = () => {
    const found = weigh(text.value, known);
    output.textContent = `${found.length}/${LIMIT}`;
    output.classList.toggle("over", found.length > LIMIT);
    // Read out near the end only, not at each key.
    output.setAttribute("aria-live", found.length > LIMIT - 20 ? "polite" : "off");
    submit.disabled = sending || Boolean(found.flaw);
    if (found.flaw === "unfit" && flaw !== "unfit") toast(say("unfit"));
    flaw = found.flaw;
    if (found.asked.length) learn(found.asked, count);
  };
  const changed = () => {
    // Another text is another tweet, also where the first may have arrived unseen.
    if (tried && key) key.value = fresh();
    tried = false;
    remember(name, text.value === text.defaultValue ? null : { first: text.defaultValue, text: text.value });
    count();
  };
  const send = async (fields) => {
    sending = true;
    count();
    form.setAttribute("aria-busy", "true");
    try {
      const article = pieces(await ask("/compose", fields)).querySelector("article");
      own.add(article.dataset.tweet);
      remember(name, null);
      text.value = text.defaultValue;
      if (key) key.value = fresh();
      tried = false;
      if (posted(article, fields.get("reply_to"))) toast(say("posted"));
      else location.assign(here(fields.get("next")) ?? `/tweets/${article.dataset.tweet}`);
    } catch (error) {
      tried = true;
      failed(error);
    } finally {
      sending = false;
      form.removeAttribute("aria-busy");
      count();
    }
  };

  if (key && !key.value) key.value = fresh();
  const old = remembered(name);
  if (old?.first === text.defaultValue && text.value === text.defaultValue) text.value = old.text;
  count();
  text.addEventListener("input", changed);
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
    event.preventDefault();
    if (!submit.disabled) form.requestSubmit(submit);
  });
  form.addEventListener("submit", (event) => {
    if (form.getAttribute("action") !== "/compose" || event.submitter?.name) {
      // A draft, or an edit: the server shows another page then.
      remember(name, null);
      return;
    }
    event.preventDefault();
    if (sending) return;
    own.during(send(new URLSearchParams(new FormData(form))));
  });
}

const wanted = new Map();
const inquire = settled(200, async () => {
  const asked = [...wanted.keys()].slice(0, 100);
  const after = new Set(wanted.values());
  wanted.clear();
  try {
    const weights = JSON.parse(await ask(`/weigh?words=${encodeURIComponent(asked.join(" "))}`)).weights;
    asked.forEach((word, place) => known.set(word, weights[place]));
    for (const count of after) count();
  } catch {
    // The estimate stands, and the server judges what is sent.
  }
});

function learn(asked, count) {
  for (const word of asked) wanted.set(word, count);
  inquire();
}

/** All texts that wait, under one name per person. */
const all = () => JSON.parse(texts.get(`text ${body.dataset.me}`) ?? "{}");
const remembered = (name) => all()[name];

function remember(name, value) {
  const now = all();
  if (value) now[name] = value;
  else delete now[name];
  texts.set(`text ${body.dataset.me}`, JSON.stringify(now));
}

/** A key that nobody used: the same form sent twice posts once. */
const fresh = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (one) => one.toString(36)).join("");

/** An address, if it is a page of ours. */
function here(address) {
  if (!address) return null;
  const url = new URL(address, location.href);
  return url.origin === location.origin ? url.href : null;
}
