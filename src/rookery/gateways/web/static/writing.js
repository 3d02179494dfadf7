/* Writing: the counter, the text kept until it is sent, and sending without leaving the page. */
import { ask, failed, find, make, me, onAdded, pieces, Refused, say, settled, toast, within } from "./page.js";
import { LIMIT, weigh } from "./weight.js";
import { own, posted } from "./news.js";

/** What the server said that words weigh. */
const known = new Map();

export function writing() {
  onAdded((root) => within(root, "[data-content]").forEach(prepare));
  // Who logs out leaves nothing behind for who comes next.
  document.addEventListener("submit", (event) => {
    if (event.target.getAttribute("action") === "/logout") sessionStorage.clear();
  });
}

function prepare(text) {
  const { form } = text;
  const output = find("[data-weight]", form);
  const submit = find("[data-submit]", form);
  const { key, reply_to, quote_of } = form.elements;
  const place = ["text", me, form.getAttribute("action"), reply_to?.value, quote_of?.value].join(" ");
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
    // Another text is another tweet, if the first arrived unseen.
    if (tried && key) key.value = fresh();
    tried = false;
    find(".wrong", form)?.remove();
    sessionStorage.setItem(place, JSON.stringify([text.defaultValue, text.value]));
    count();
  };
  const wrong = (sentence) => text.before(make("div", { className: "wrong", role: "alert" }, sentence));
  const send = async (fields) => {
    sending = true;
    find(".wrong", form)?.remove();
    count();
    form.setAttribute("aria-busy", "true");
    try {
      const article = pieces(await ask("/compose", fields)).querySelector("article");
      own.ids.add(article.dataset.tweet);
      sessionStorage.removeItem(place);
      text.value = text.defaultValue;
      if (key) key.value = fresh();
      tried = false;
      if (posted(article, fields.get("reply_to"))) toast(say("posted"));
      else location.assign(here(fields.get("next")) ?? `/tweets/${article.dataset.tweet}`);
    } catch (error) {
      tried = true;
      if (error instanceof Refused && error.status !== 401) wrong(error.message);
      else failed(error);
    } finally {
      sending = false;
      form.removeAttribute("aria-busy");
      count();
    }
  };

  if (key && !key.value) key.value = fresh();
  const [first, written] = JSON.parse(sessionStorage.getItem(place) ?? "[]");
  if (first === text.defaultValue && text.value === first) text.value = written;
  count();
  text.addEventListener("input", changed);
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
    event.preventDefault();
    if (!submit.disabled) form.requestSubmit(submit);
  });
  form.addEventListener("submit", (event) => {
    const fields = new URLSearchParams(new FormData(form));
    if (!form.matches("[data-compose]") || event.submitter?.name || fields.get("publish_at")) {
      // A draft, or an edit: the server shows another page then.
      sessionStorage.removeItem(place);
      return;
    }
    event.preventDefault();
    if (sending) return;
    own.sent = send(fields);
  });
}

const wanted = new Map();
const inquire = settled(200, async () => {
  const asked = [...wanted.keys()];
  const after = new Set(wanted.values());
  wanted.clear();
  try {
    const weights = JSON.parse(await ask(`/weigh?words=${encodeURIComponent(asked.join(" "))}`)).weights;
    asked.forEach((word, at) => known.set(word, weights[at]));
    for (const count of after) count();
  } catch {
    // The estimate stands, and the server judges what is sent.
  }
});

function learn(asked, count) {
  for (const word of asked) wanted.set(word, count);
  inquire();
}

/** A key that nobody used: the same form sent twice posts once. */
const fresh = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (one) => one.toString(36)).join("");

/** An address, if it is a page of ours. */
function here(address) {
  if (!address) return null;
  const url = new URL(address, location.href);
  return url.origin === location.origin ? url.href : null;
}
