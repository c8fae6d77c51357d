// A schedule as a small drawing, with a mark for now.
import { share, scheduleWords, stretch } from "../lib/schedule.js";
import { millis } from "../lib/format.js";
import { html } from "../lib/html.js";

const WIDTH = 300;
const HEIGHT = 26;

/** `since`: milliseconds since the rule was turned on; none while it is off. */
export function ScheduleBar({ schedule, ttl, since = null, percent = 100 }) {
  const drawn = stretch(schedule, ttl, since ?? 0);
  const y = (part) => (HEIGHT - 1 - part * (HEIGHT - 4)).toFixed(1);
  const path = drawn.points.map(([at, part], i) => `${i ? "L" : "M"}${(at * WIDTH).toFixed(1)} ${y(part)}`).join("");
  const now = since == null ? null : share(schedule, since) * percent;
  const words = `${scheduleWords(schedule) || "always"}${now == null ? "" : `; ${round(now)} % now`}`;
  return html`<figure class="schedule"><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label=${`Schedule: ${words}`}>
      <path class="area" d="${path}L${WIDTH} ${HEIGHT}L0 ${HEIGHT}Z" /><path class="curve" d=${path} />
      ${now != null && html`<path class="now" d="M${(drawn.now * WIDTH).toFixed(1)} 0V${HEIGHT}" />`}</svg>
    <figcaption class="muted"><span>${drawn.from ? millis(drawn.from) : "0"}</span>
      ${now != null && html`<b class=${now > 0 ? "tone-bad" : ""}>${round(now)} % now</b>`}<span>${millis(drawn.to)}</span></figcaption></figure>`;
}

const round = (value) => Number(value.toFixed(value < 10 ? 1 : 0));
