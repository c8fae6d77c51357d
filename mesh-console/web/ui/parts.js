// Small parts that several views share.
import { html, useEffect, useState } from "../lib/html.js";
import { state } from "../lib/store.js";

/** The number of a service's colour: by its place in the alphabet, so that it stays. */
export function serviceHue(name) {
  const names = (state.overview?.services ?? []).map((service) => service.name).sort();
  const at = names.indexOf(name);
  return at < 0 ? "x" : at % 10;
}

/** A line through the last samples. Gaps stay gaps. */
export function Spark({ values, width = 76, height = 22, max, min = 0, tone = "idle" }) {
  const known = values.filter((value) => value != null);
  if (known.length < 2) return html`<svg class="spark" width=${width} height=${height} aria-hidden="true"></svg>`;
  const top = max ?? Math.max(...known, min + 1e-9) * 1.1;
  const x = (i) => (i / (values.length - 1)) * (width - 2) + 1;
  const y = (value) => height - 2 - ((Math.min(Math.max(value, min), top) - min) / (top - min || 1)) * (height - 4);
  return html`<svg class="spark tone-${tone}" width=${width} height=${height} aria-hidden="true">
    <path d=${line(values, x, y)} /></svg>`;
}

/** SVG path of a series; `null` lifts the pen. */
export function line(values, x, y) {
  let pen = "M";
  return values.map((value, i) => {
    if (value == null) {
      pen = "M";
      return "";
    }
    const step = `${pen}${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = "L";
    return step;
  }).join("");
}

export const Dot = ({ service }) => html`<span class="dot svc-${serviceHue(service)}" aria-hidden="true"></span>`;

export const Empty = ({ title, children }) => html`<div class="empty"><strong>${title}</strong><p>${children}</p></div>`;

/** Text of the console, in which backticks mark names. */
export const Prose = ({ text }) => String(text).split("`").map((part, i) => (i % 2 ? html`<code key=${i}>${part}</code>` : part));

/** Icons drawn here, so that no font decides how they look. */
const ICONS = {
  bolt: "M9 1 3 9.2h4L6 15l7-8.6H8.6z",
  retry: "M13 8a5 5 0 1 1-1.6-3.7M13 1.8v3h-3",
  close: "M3.5 3.5l9 9m0-9-9 9",
  stop: "M4 4h8v8H4z",
  copy: "M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z",
  sun: "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6M8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1.1 1.1M11.9 11.9 13 13M3 13l1.1-1.1M11.9 4.1 13 3",
  plus: "M8 3v10M3 8h10",
  trash: "M3 4.5h10M6 4.5V3h4v1.5M4.5 4.5l.6 8.5h5.8l.6-8.5",
  pen: "M3 13l.7-3L10.5 3.2l2.3 2.3L6 12.3z",
  terminal: "M2.5 3h11v10h-11zM5 6.2 6.8 8 5 9.8M8.5 10h2.5",
  flask: "M6 2h4M7 2v4.2L3.4 12.4c-.4.8.1 1.6.9 1.6h7.4c.8 0 1.3-.8.9-1.6L9 6.2V2M5.2 10h5.6",
  search: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9M10.3 10.3 14 14",
  out: "M6 3H3v10h10v-3M9 3h4v4M13 3 7.5 8.5",
};
const FILLED = new Set(["bolt", "stop"]);

export const Icon = ({ name }) => html`<svg class=${FILLED.has(name) ? "icon filled" : "icon"}
  viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><path d=${ICONS[name]} /></svg>`;

/** Draws the component anew so often, for what time alone changes. */
export function useTick(ms, on = true) {
  const [, tick] = useState(0);
  useEffect(() => {
    if (!on) return;
    const timer = setInterval(() => tick((number) => number + 1), ms);
    return () => clearInterval(timer);
  }, [ms, on]);
}

/** Choice of one among a few. */
export function Segments({ label, options, value, onChange }) {
  return html`<div class="segments" role="group" aria-label=${label}>
    ${options.map(([key, text]) => html`<button key=${key} type="button" aria-pressed=${String(key === value)}
      onClick=${() => onChange(key)}>${text}</button>`)}
  </div>`;
}
