// Spans as bars on one time axis. Sidecar spans are slim, applications' are full;
// an attempt that met a fault is red and names the rule.
import { micros } from "../lib/format.js";
import { html, useEffect, useMemo, useRef, useState } from "../lib/html.js";
import { go } from "../lib/route.js";
import { axis, callee, calmCalls, faultsOf, struck } from "../lib/trace.js";
import { serviceHue } from "./parts.js";
import { SpanDetail } from "./span-detail.js";

/** More rows than this are not drawn at once; folding brings the rest into view. */
const MOST_ROWS = 1500;

export function Waterfall({ trace, chosen }) {
  const calm = useMemo(() => calmCalls(trace).map((span) => span.id), [trace]);
  const [closed, setClosed] = useState(() => new Set(calm));
  const [open, setOpen] = useState(null);
  const list = useRef(null);
  const scale = useMemo(() => axis(trace), [trace]);
  useEffect(() => {
    if (!chosen) return;
    setOpen(chosen);
    setClosed((before) => without(before, ancestors(trace.byId.get(chosen))));
    requestAnimationFrame(() => list.current?.querySelector(`[data-span="${CSS.escape(chosen)}"]`)?.scrollIntoView({ block: "center" }));
  }, [chosen]);
  const fold = (id, shut) => setClosed((before) => {
    const next = new Set(before);
    if (shut) next.add(id); else next.delete(id);
    return next;
  });
  const pick = (id) => {
    const next = open === id ? null : id;
    setOpen(next);
    history.replaceState(null, "", next ? `#/trace/${trace.id}/${next}` : `#/trace/${trace.id}`);
  };
  const all = visible(trace.rows, closed);
  const rows = all.slice(0, MOST_ROWS);
  return html`<div class="waterfall" ref=${list}>
    <${Axis} trace=${trace} scale=${scale}>${calm.length > 0 && html`<button type="button" class="link" onClick=${() => setClosed(new Set(closed.size ? [] : calm))}>
      ${closed.size ? `show all ${trace.rows.length} spans` : "fold calls without trouble"}</button>`}<//>
    <div role="tree" aria-label="Spans" onKeyDown=${(event) => keys(event, fold)}>${rows.map((span) => html`<${Row} key=${span.id} span=${span} trace=${trace} scale=${scale} closed=${closed.has(span.id)}
      open=${open === span.id} onPick=${() => pick(span.id)} onFold=${() => fold(span.id, !closed.has(span.id))} />`)}</div>
    ${all.length > rows.length && html`<p class="muted">${all.length - rows.length} more spans are not drawn: fold some of those above to see them.</p>`}
    <p class="legend muted"><span><i class="bar-key app"></i>application</span><span><i class="bar-key side"></i>sidecar</span>
      <span><i class="bar-key bad"></i>fault or error</span><span><i class="bar-key wait"></i>pause before a retry</span>
      <span class="hint">↑ ↓ move, ← → fold, Enter shows a span’s details.</span></p>
  </div>`;
}

const without = (set, some) => new Set([...set].filter((each) => !some.includes(each)));

function ancestors(span) {
  const ids = [];
  for (let at = span?.parent; at; at = at.parent) ids.push(at.id);
  return ids;
}

function visible(rows, closed) {
  const hidden = new Set();
  return rows.filter((span) => {
    const under = span.parent && (hidden.has(span.parent.id) || closed.has(span.parent.id));
    if (under) hidden.add(span.id);
    return !under;
  });
}

function keys(event, fold) {
  const here = event.target.closest?.("[data-span]");
  if (!here || event.target.closest(".span-detail")) return;
  const rows = [...event.currentTarget.querySelectorAll(".span-row > button.span-main")];
  const at = rows.indexOf(here.querySelector("button.span-main"));
  const moves = { ArrowDown: 1, ArrowUp: -1 };
  if (event.key in moves) rows[at + moves[event.key]]?.focus();
  else if (event.key === "ArrowLeft") fold(here.dataset.span, true);
  else if (event.key === "ArrowRight") fold(here.dataset.span, false);
  else return;
  event.preventDefault();
}

/** Round steps for the axis' marks, in microseconds; the step fits what is not folded. */
function ticks(trace, busy) {
  const total = trace.end - trace.start;
  const base = 10 ** Math.floor(Math.log10(Math.max(1, busy / 5)));
  const step = [1, 2, 5, 10].map((times) => times * base).find((each) => busy / each <= 6);
  return Array.from({ length: Math.floor(total / step) + 1 }, (_, i) => i * step);
}

function Axis({ trace, scale, children }) {
  const folded = (at) => scale.folds.some((fold) => at > fold.left - 0.005 && at < fold.right + 0.05);
  const marks = ticks(trace, scale.busy).map((time) => ({ time, at: scale.at(trace.start + time) }))
    .filter(({ at }, i) => at < 0.96 && (!i || !folded(at)));
  return html`<div class="axis-row"><span class="axis-tools">${children}</span><span class="axis-lane" aria-hidden="true">
    ${marks.map(({ time, at }) => html`<span class="tick" style=${{ left: `${at * 100}%` }}>${time ? micros(time) : "0"}</span>`)}
    ${scale.folds.map((fold) => html`<span class="fold-label" style=${{ left: `${fold.left * 100}%` }} title="Nothing was at work here; the axis is folded">+${micros(fold.to - fold.from)}</span>`)}
  </span></div>`;
}

function Row({ span, trace, scale, closed, open, onPick, onFold }) {
  const hit = struck(span);
  const bad = span.error;
  const names = [...new Set((span.attempt > 0 ? faultsOf(span) : span.faults).map((fault) => fault.rule))];
  const left = scale.at(span.start) * 100;
  const width = Math.max(0.15, scale.at(span.end) * 100 - left);
  const classes = ["span-row", span.sidecar ? "side" : "app", hit ? "hit" : "", bad ? "bad" : "", open ? "open" : ""].join(" ");
  const leads = !span.sidecar && (closed || span.tags["span.kind"] === "client") ? callee(span) : null;
  const label = [micros(span.duration), ...names.map((id) => `⚡ ${id}`), bad && span.status ? span.status : null].filter(Boolean);
  // With a pause drawn before the bar, or room after it, the label stands after it.
  const late = !span.pause && left > (names.length ? 66 : 97);
  return html`<div class=${classes} role="treeitem" aria-level=${span.depth + 1} aria-expanded=${span.children.length ? String(!closed) : null}
    aria-selected=${String(open)} data-span=${span.id} style=${{ "--indent": `${Math.min(span.depth, 24) * 11}px` }}>
    ${span.children.length
      ? html`<button type="button" class=${closed ? "twist shut" : "twist"} tabindex="-1" aria-label=${closed ? "Unfold" : "Fold"} onClick=${onFold}></button>`
      : html`<span class="twist none" aria-hidden="true"></span>`}
    <button type="button" class="span-main" onClick=${onPick} aria-expanded=${String(open)}>
      <span class="span-name"><i class="dot svc-${serviceHue(span.service)}"></i><b>${span.service}</b> <span class="op">${span.name}${leads ? ` → ${leads}` : ""}</span>
        ${span.attempt > 1 && html`<em class="chip warn">↻ ${span.attempt}</em>`}
        ${closed && html`<em class="chip">+${span.below}</em>`}</span>
      <span class="lane">
        ${scale.folds.map((fold) => html`<span class="fold" style=${{ left: `${fold.left * 100}%`, width: `${(fold.right - fold.left) * 100}%` }}></span>`)}
        ${span.pause && html`<${Pause} pause=${span.pause} scale=${scale} />`}
        <span class="span-bar svc-${serviceHue(span.service)}" style=${{ left: `${left}%`, width: `${width}%` }}></span>
        ${span.events.filter((event) => event.name !== "mesh.backoff").map((event) => html`<span class=${event.name === "mesh.fault" ? "pin bad" : "pin"} style=${{ left: `${scale.at(event.at) * 100}%` }} title=${event.name}></span>`)}
        <span class=${late ? "bar-label before" : "bar-label"} style=${late ? { right: `${100 - left}%` } : { left: `${left + width}%` }}>${label.join("  ")}${bad && html`<span class="unseen"> failed</span>`}</span>
      </span>
    </button>
    ${open && html`<${SpanDetail} span=${span} trace=${trace} onLink=${() => go("trace", trace.id, span.id)} />`}
  </div>`;
}

function Pause({ pause, scale }) {
  const left = scale.at(pause.from) * 100;
  const width = Math.max(0.2, scale.at(pause.to) * 100 - left);
  return html`<span class="pause-bar" style=${{ left: `${left}%`, width: `${width}%` }} title=${`Paused ${micros(pause.to - pause.from)} before this retry`}></span>
    ${width > 7 && html`<span class="pause-label" style=${{ left: `${left + width / 2}%` }}>pause ${micros(pause.to - pause.from)}</span>`}`;
}
