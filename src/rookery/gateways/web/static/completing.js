/* Handles and hashtags, completed while they are written. */
import { ask, make, modified, onAdded, say, settled, within } from "./page.js";

const TOKEN = /(?:^|[^\p{L}\p{M}\p{N}_&@#])([@#][\p{L}\p{M}\p{N}_]{1,30})$/u;
const MOST = 8;
let offered = true;
let lists = 0;

export function completing() {
  onAdded((root) => within(root, "[data-content]").forEach(complete));
}

function complete(text) {
  const id = `suggestions-${++lists}`;
  const list = make("ul", { id, className: "suggestions", hidden: true, role: "listbox", ariaLabel: say("suggestions") });
  const status = make("p", { className: "visually-hidden", role: "status" });
  text.after(list, status);
  text.setAttribute("aria-autocomplete", "list");
  text.setAttribute("aria-controls", list.id);
  let active = -1;

  const token = () =>
    text.selectionStart === text.selectionEnd ? TOKEN.exec(text.value.slice(0, text.selectionStart))?.[1] : undefined;
  const close = () => {
    list.hidden = true;
    list.replaceChildren();
    status.textContent = "";
    text.removeAttribute("aria-activedescendant");
    active = -1;
  };
  const mark = (place) => {
    active = (place + list.children.length) % list.children.length;
    [...list.children].forEach((one, at) => one.setAttribute("aria-selected", String(at === active)));
    text.setAttribute("aria-activedescendant", list.children[active].id);
    list.children[active].scrollIntoView({ block: "nearest" });
  };
  const choose = (option) => {
    const begun = token();
    if (begun) {
      const end = text.selectionStart;
      text.setRangeText(`${option.dataset.value} `, end - begun.length, end, "end");
      text.dispatchEvent(new Event("input", { bubbles: true }));
    }
    close();
  };
  const show = (found) => {
    const options = [
      ...(found.people ?? []).map((one) => option(`@${one.handle}`, one.name, one.avatar_url)),
      ...(found.hashtags ?? []).map((tag) => option(`#${tag}`)),
    ].slice(0, MOST);
    if (!options.length) return close();
    options.forEach((one, place) => (one.id = `${list.id}-${place}`));
    list.replaceChildren(...options);
    list.style.insetBlockStart = `${text.offsetTop + text.offsetHeight}px`;
    list.hidden = false;
    status.textContent = say("suggested", { n: options.length });
    mark(0);
  };
  const look = settled(120, async () => {
    const begun = token();
    if (!begun || !offered) return close();
    try {
      const found = JSON.parse(await ask(`/complete?q=${encodeURIComponent(begun)}`));
      // Who types is faster than answers.
      if (token() === begun && document.activeElement === text) show(found);
    } catch (error) {
      if (error.status === 404) offered = false;
      close();
    }
  });

  text.addEventListener("input", () => (token() ? look() : close()));
  text.addEventListener("blur", close);
  text.addEventListener("keydown", (event) => {
    if (list.hidden || event.isComposing || modified(event)) return;
    if (event.key === "ArrowDown") mark(active + 1);
    else if (event.key === "ArrowUp") mark(active - 1);
    else if (event.key === "Escape") close();
    else if ((event.key === "Enter" || event.key === "Tab") && !event.shiftKey) choose(list.children[active]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  // The text keeps the focus.
  list.addEventListener("mousedown", (event) => event.preventDefault());
  list.addEventListener("click", (event) => {
    const option = event.target.closest("[role=option]");
    if (option) choose(option);
  });
}

function option(value, name, picture) {
  const made = make("li", { role: "option" }, make("bdi", {}, value));
  made.dataset.value = value;
  if (picture) made.prepend(make("img", { src: picture, alt: "", className: "avatar small", referrerPolicy: "no-referrer" }));
  if (name) made.append(" ", make("bdi", { className: "handle" }, name));
  return made;
}
