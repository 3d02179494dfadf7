/* What scripts add to the pages; each page works without. One module per concern. */
import { acts } from "./acts.js";
import { completing } from "./completing.js";
import { keys } from "./keys.js";
import { later } from "./later.js";
import { links } from "./links.js";
import { live } from "./live.js";
import { more } from "./more.js";
import { times } from "./times.js";
import { added } from "./page.js";
import { writing } from "./writing.js";

for (const start of [times, acts, later, writing, completing, more, live, keys, links]) {
  try {
    start();
  } catch (error) {
    // One that a browser can't run takes no other with it.
    console.error(error);
  }
}
added(document);
document.documentElement.dataset.ready = "";
// An app on the phone, and a page that says so where there is no network.
navigator.serviceWorker?.register("/sw.js", { updateViaCache: "none" }).catch(() => {});
