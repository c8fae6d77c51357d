// A pause: its distribution, what that needs, and how it is spread.
import { changeKind, problemsAt } from "../../lib/draft.js";
import { DELAYS, density, densityWords } from "../../lib/delay.js";
import { millis } from "../../lib/format.js";
import { html } from "../../lib/html.js";
import { Inline, Select, Text } from "./field.js";

const KINDS = Object.entries(DELAYS).map(([kind, { name }]) => [kind, name]);

export function DelayFields({ delay, label, onChange, wrong }) {
  const set = (i, text) => onChange({ ...delay, parts: DELAYS[delay.kind].parts.map((_, at) => (at === i ? text : delay.parts[at] ?? "")) });
  return html`<div class="row">
    <${Select} aria-label="${label}: spread" value=${delay.kind} options=${KINDS} onChange=${(kind) => onChange(changeKind(delay, kind))} />
    ${DELAYS[delay.kind].parts.map(([name, example], i) => html`<${Inline} key=${name} name=${name}>
      <${Text} size="6" required placeholder=${example} value=${delay.parts[i] ?? ""} onChange=${(text) => set(i, text)} aria-invalid=${wrong ? "true" : null} /><//>`)}
  </div><${Density} delay=${delay} />`;
}

const WIDTH = 260;
const HEIGHT = 44;

/** The density as a small drawing, with median and 99th percentile marked. */
function Density({ delay }) {
  const drawn = density(delay);
  if (!drawn) return html`<p class="hint muted">Times carry units, as <code>200ms</code> or <code>1s</code>.</p>`;
  const x = (share) => (share * WIDTH).toFixed(1);
  const path = drawn.points.map(([at, high], i) => `${i ? "L" : "M"}${x(at)} ${(HEIGHT - 1 - high * (HEIGHT - 6)).toFixed(1)}`).join("");
  const words = densityWords(drawn, delay.kind);
  const marks = delay.kind === "fixed" ? [] : [drawn.half, drawn.most].filter((ms) => ms <= drawn.end);
  return html`<figure class="density"><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label=${`Density: ${words}`}>
      <path class="area" d="${path}L${WIDTH} ${HEIGHT}L0 ${HEIGHT}Z" /><path class="curve" d=${path} />
      ${marks.map((ms) => html`<path class="mark" d="M${x(ms / drawn.end)} 2V${HEIGHT}" />`)}</svg>
    <figcaption class="muted"><span>0</span><span>${words}</span><span>${millis(drawn.end)}</span></figcaption></figure>`;
}

export const delayWrong = (problems, kind) => problemsAt(problems, kind).length > 0;
