/* Favorite, retweet, bookmark and follow: felt at once, undone where the server refuses. */
import { ask, failed, find, findAll, pieces, setCount, swap } from "./page.js";

/** What is under way, by tweet or person: acts on the same follow each other. */
const lines = new Map();

export function acts() {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || !form.matches("form[data-live]")) return;
    event.preventDefault();
    act(form, event.submitter ?? find("button", form));
  });
}

function act(form, button) {
  const address = button.getAttribute("formaction") ?? form.getAttribute("action");
  const fields = new URLSearchParams(new FormData(form));
  if (button.name) fields.set(button.name, button.value);
  const tweet = form.closest("[data-acts]")?.dataset.acts;
  // The same tweet, or person, may be on the page several times.
  const all = tweet ? `[data-acts="${tweet}"]` : `form[data-live][action="${CSS.escape(form.getAttribute("action"))}"]`;
  const undo = turn(all, button.dataset.act);
  const line = (lines.get(all) ?? Promise.resolve()).then(async () => {
    try {
      const made = pieces(await ask(address, fields)).firstElementChild;
      // An answer does not know of what was pressed meanwhile.
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
  for (const old of findAll(all)) swap(old, made.cloneNode(true));
}

/** Turn a button over wherever it stands; returns what turns it back. */
function turn(all, name) {
  const buttons = findAll(`:is(${all}) button${name ? `[data-act="${name}"]` : "[data-then]"}`);
  const before = buttons.map((button) => [button, button.cloneNode(true)]);
  for (const button of buttons) {
    const done = button.name === "undo";
    if (done) button.removeAttribute("name");
    else Object.assign(button, { name: "undo", value: "1" });
    if (name) {
      button.ariaPressed = String(!done);
      const count = find("[data-count]", button);
      if (count) setCount(count, Math.max(0, Number(count.dataset.n) + (done ? -1 : 1)));
    } else {
      button.textContent = button.dataset.then;
      button.classList.toggle("on", !done);
      button.classList.toggle("primary", done);
    }
  }
  return () => before.forEach(([button, old]) => button.isConnected && swap(button, old));
}
