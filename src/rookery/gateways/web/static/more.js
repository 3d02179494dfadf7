/* Older pages come by themselves when they are near; beneath stays a link. */
import { added, ask, find, findAll, modified, onAdded, pieces, settled, within } from "./page.js";

/** Then a page's foot is to be reached, and more come by a click. */
const MOST = 5;
let loaded = 0;
let watcher;

export function more() {
  watcher = new IntersectionObserver(
    (seen) => {
      for (const { isIntersecting, target } of seen) if (isIntersecting && loaded < MOST) load(target);
    },
    { rootMargin: "800px" },
  );
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-more]");
    if (!link || event.button || event.shiftKey || modified(event)) return;
    event.preventDefault();
    load(link, true);
  });
  onAdded((root) => within(root, "a[data-more]").forEach((link) => watcher.observe(link)));
  addEventListener("scroll", settled(200, keepPlace), { passive: true });
  if (history.state?.rookery) returnTo(history.state.rookery);
}

/** Put what a link leads to in its place. False where that failed. */
async function load(link, asked = false) {
  if (link.getAttribute("aria-busy")) return false;
  link.setAttribute("aria-busy", "true");
  try {
    const made = pieces(await ask(link.href));
    const first = made.firstElementChild;
    const children = [...made.children];
    // What moved down meanwhile is there already.
    for (const one of children) if (one.id && document.getElementById(one.id)) one.remove();
    const held = document.activeElement === link;
    watcher.unobserve(link);
    link.replaceWith(made);
    loaded += 1;
    children.filter((one) => one.isConnected).forEach(added);
    if (held && first?.isConnected) first.focus({ preventScroll: true });
    return true;
  } catch {
    link.removeAttribute("aria-busy");
    if (asked) location.assign(link.href);
    return false;
  }
}

/** What stands at the top of the window, and how far down, for who comes back to this page. */
function keepPlace() {
  const top = findAll("[data-feed] > [id]").find((one) => one.getBoundingClientRect().bottom > 0);
  const place = top && loaded ? { loaded, id: top.id, y: top.getBoundingClientRect().top } : undefined;
  history.replaceState({ ...history.state, rookery: place }, "");
}

async function returnTo(place) {
  const [entry] = performance.getEntriesByType("navigation");
  if (entry?.type === "navigate" || !place.id) return;
  history.scrollRestoration = "manual";
  for (let page = 0; page < place.loaded && !document.getElementById(place.id); page += 1) {
    const link = find("[data-feed] a[data-more]");
    if (!link || !(await load(link))) break;
  }
  const found = document.getElementById(place.id);
  if (found) scrollBy({ top: found.getBoundingClientRect().top - place.y, behavior: "instant" });
}
