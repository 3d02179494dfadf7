/* What scripts add to the pages; each page works without. One module per concern. */
import { acts } from "./acts.js";
import { completing } from "./completing.js";
import { install } from "./install.js";
import { keys } from "./keys.js";
import { live } from "./live.js";
import { more } from "./more.js";
import { times } from "./times.js";
import { added } from "./page.js";
import { writing } from "./writing.js";

for (const start of [times, acts, writing, completing, more, live, keys, install]) {
  try {
    start();
  } catch (error) {
    // One part that a browser does not know takes no other with it.
    console.error(error);
  }
}
added(document);
document.documentElement.dataset.ready = "";
