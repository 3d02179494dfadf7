/* Moments in the reader's own time zone, short ones kept up to date. */
import { findAll, locale, onAdded, say, within } from "./page.js";

const [MINUTE, HOUR, DAY] = [60_000, 3_600_000, 86_400_000];
/** Words, how many milliseconds each stands for, and below how many it is used. */
const UNITS = [
  ["seconds", 1000, MINUTE],
  ["minutes", MINUTE, HOUR],
  ["hours", HOUR, DAY],
  ["days", DAY, 7 * DAY],
];
const date = new Intl.DateTimeFormat(locale, { dateStyle: "medium" });
const day = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short" });
const moment = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
const whole = new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "long" });

export function times() {
  // Without a T it is a day, which is the same everywhere.
  onAdded((root) => within(root, "time[datetime*=T]").forEach(localise));
  setInterval(() => {
    if (!document.hidden) findAll("time[datetime*=T]:not([data-exact])").forEach(refresh);
  }, MINUTE / 2);
}

function localise(element) {
  const at = new Date(element.dateTime);
  if (Number.isNaN(at.getTime())) return;
  element.title = whole.format(at);
  if ("exact" in element.dataset) element.textContent = moment.format(at);
  else refresh(element);
}

/** As the server writes it, with the words of the same catalog: 5s, 5m, 5h, 5d, then the day. */
function refresh(element) {
  const at = new Date(element.dateTime);
  const gone = Math.max(0, Date.now() - at.getTime());
  const [unit, length] = UNITS.find(([, , below]) => gone < below) ?? [];
  const text = unit
    ? say(unit, { n: Math.floor(gone / length) })
    : gone > 300 * DAY
      ? date.format(at)
      : shortDay(at);
  if (text && text !== element.textContent) element.textContent = text;
}

function shortDay(at) {
  const parts = Object.fromEntries(day.formatToParts(at).map((part) => [part.type, part.value]));
  return `${parts.day} ${parts.month}`;
}
