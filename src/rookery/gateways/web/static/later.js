/* When a draft is to be posted: in the writer's own time, which the server is told apart from UTC. */
import { find, onAdded, within } from "./page.js";

export function later() {
  onAdded((root) => within(root, "[data-moment]").forEach(localise));
}

function localise(field) {
  const { form } = field;
  const shift = find("[data-offset]", form);
  const zone = find("[data-zone]", form);
  if (field.value && field.value === field.defaultValue) {
    const moment = new Date(`${field.value}Z`);
    field.value = new Date(moment - moment.getTimezoneOffset() * 60_000).toISOString().slice(0, field.value.length);
  }
  zone.textContent = `(${Intl.DateTimeFormat().resolvedOptions().timeZone})`;
  // Which offset holds depends on the day.
  form.addEventListener("submit", () => {
    shift.value = field.value ? String(-new Date(field.value).getTimezoneOffset()) : "";
  });
}
