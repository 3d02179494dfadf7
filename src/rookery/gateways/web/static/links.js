/* Links out of a tweet, told for Top: that one was followed, not which. */
import { body, me } from "./page.js";

export function links() {
  if (!me) return;
  for (const kind of ["click", "auxclick"]) document.addEventListener(kind, followed);
}

function followed({ button, target }) {
  const of = target.closest("a[rel~=nofollow]")?.closest("[data-tweet],[data-quoted]")?.dataset;
  // The right button opens a menu.
  if (!of || button > 1) return;
  // A beacon arrives also where the page is left for the link.
  navigator.sendBeacon(`/tweets/${of.quoted ?? of.tweet}/link`, new URLSearchParams({ csrf: body.dataset.csrf }));
}
