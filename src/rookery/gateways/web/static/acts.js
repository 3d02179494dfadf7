/* Favorite, retweet, bookmark and follow: felt at once, undone where the server refuses. */
import { ask, failed, pieces, setCount, swap } from "./page.js";

/** What is under way, by tweet or person: acts on the same follow each other. */
const lines = new Map();

export function acts() {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || !form.matches("form[data-live]")) return;
    event.preventDefault();
    act(form, event.submitter ?? form.querySelector("button"));
  });
}

function act(form, button) {
  const address = button.getAttribute("formaction") ?? form.getAttribute("action");
  const fields = new URLSearchParams(new FormData(form));
  if (button.name) fields.set(button.name, button.value);
  const tweet = form.closest("[data-acts]")?.dataset.acts;
  // The same tweet, or person, may be on the page several times.
  const all = tweet ? `[data-acts="${tweet}"]` : `form[data-live][action="${CSS.escape(form.getAttribute("action"))}"]`;
  const undo = tweet ? press(all, button.dataset.act) : rename(all);
  const line = (lines.get(all) ?? Promise.resolve()).then(async () => {
    try {
      const made = pieces(await ask(address, fields)).firstElementChild;
      // What was pressed meanwhile is not taken back by an answer that does not know of it.
      if (lines.get(all) === line && made) replace(all, made);
    } catch (error) {
      undo();
      failed(error);
    } finally {
      if (lines.get(all) === line) lines.delete(all);
    }
  });
  lines.set(all, line);
}

function replace(all, made) {
  for (const old of document.querySelectorAll(all)) swap(old, made.cloneNode(true));
}

/** Press a button on all copies of a tweet; returns what takes it back, which is the same again. */
function press(all, name) {
  const turn = () => {
    for (const button of document.querySelectorAll(`:is(${all}) button[data-act="${name}"]`)) {
      const pressed = button.getAttribute("aria-pressed") === "true";
      button.setAttribute("aria-pressed", String(!pressed));
      if (pressed) button.removeAttribute("name");
      else Object.assign(button, { name: "undo", value: "1" });
      const count = button.querySelector("[data-count]");
      if (count) setCount(count, Math.max(0, Number(count.dataset.n) + (pressed ? -1 : 1)));
    }
  };
  turn();
  return turn;
}

/** Give the buttons of a person the names that they will have. */
function rename(all) {
  const before = [...document.querySelectorAll(all)].map((form) => [form, form.cloneNode(true)]);
  for (const [form] of before) {
    const button = form.querySelector("button");
    if (!button.dataset.then) continue;
    button.textContent = button.dataset.then;
    button.classList.toggle("primary");
    button.classList.toggle("on", !button.name);
    if (button.name) button.removeAttribute("name");
    else Object.assign(button, { name: "undo", value: "1" });
  }
  return () => {
    for (const [form, old] of before) if (form.isConnected) swap(form, old);
  };
}
