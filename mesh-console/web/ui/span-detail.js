// Everything a span carries: events first, then attributes, then who reported it.
import { copy } from "../lib/actions.js";
import { faultFacts, faultWords } from "../lib/fault.js";
import { micros } from "../lib/format.js";
import { html } from "../lib/html.js";
import { href } from "../lib/route.js";
import { state } from "../lib/store.js";


export function SpanDetail({ span, trace }) {
  return html`<div class="span-detail">
    <p class="span-facts"><span>starts at <b>${span.start === trace.start ? "0" : micros(span.start - trace.start)}</b></span><span>takes <b>${micros(span.duration)}</b></span>
      <span>own time <b>${micros(ownTime(span))}</b></span>
      ${span.instance && html`<span>instance <b>${span.instance}</b></span>`}
      <span>span <code>${span.id}</code></span>
      <button type="button" class="link" onClick=${() => copy(new URL(href("trace", trace.id, span.id), location.href).href, "Link to this span")}>copy link</button></p>
    <${Elsewhere} span=${span} trace=${trace} />
    ${span.events.length > 0 && html`<h4>Events</h4><ul class="events">${span.events.map((event) => html`<li class=${event.name === "mesh.fault" ? "bad" : ""}>
      <b>${event.name}</b> <span class="muted">at ${event.at <= trace.start ? "0" : micros(event.at - trace.start)}</span>
      ${event.name === "mesh.fault" && html`<${Fault} fault=${event.fields} />`}
      <${Table} values=${event.fields} /></li>`)}</ul>`}
    <div class="columns">
      <div><h4>Attributes</h4><${Table} values=${span.tags} /></div>
      <div><h4>Reported by</h4><${Table} values=${{ "service.name": span.service, ...span.resource }} /></div>
    </div>
    ${span.links.length > 0 && html`<h4>Links</h4><ul>${span.links.map((link) => html`<li><a href=${href("trace", link.traceID, link.spanID)}><code>${link.traceID}</code></a></li>`)}</ul>`}
  </div>`;
}

/** A fault in words: what it did, and why it struck this request. */
function Fault({ fault }) {
  const rule = (state.chaos?.rules ?? []).find((entry) => entry.rule.id === fault.rule)?.rule;
  const facts = faultFacts(fault, rule);
  const title = faultWords(fault);
  return html`<p class="fault-title">${rule ? html`<a href=${href("chaos", fault.rule)} title="Show the rule">${title}</a>` : title}</p>
    <p class="fault-facts">${facts.map(([name, words]) => html`<span key=${name}>${name} ${name === "fate of trace"
      ? html`<a href=${href("trace", words)}><code>${words}</code></a>` : html`<b>${words}</b>`}</span>`)}</p>`;
}

/** A fault at the callee's sidecar struck this attempt: say where it is written. */
function Elsewhere({ span, trace }) {
  if (!(span.attempt > 0) || span.faults.length) return null;
  const source = faultSpan(span);
  return source && html`<p class="tone-bad"><b>${source.faults.map(faultWords).join(", ")}</b> at ${source.instance ?? source.service}’s sidecar:${" "}
    <a href=${href("trace", trace.id, source.id)}>show the span that carries it</a></p>`;
}

const faultSpan = (span) => span.children.filter((child) => child.sidecar)
  .map((child) => (child.faults.length ? child : faultSpan(child))).find(Boolean);

/** Time in which no child was at work. */
function ownTime(span) {
  let covered = 0;
  let reached = span.start;
  for (const child of span.children) {
    const from = Math.max(child.start, reached);
    const to = Math.min(child.end, span.end);
    if (to > from) covered += to - from;
    reached = Math.max(reached, to);
  }
  return span.duration - covered;
}

function Table({ values }) {
  const entries = Object.entries(values).sort(([a], [b]) => a.localeCompare(b));
  if (!entries.length) return html`<p class="muted">none</p>`;
  return html`<dl class="values">${entries.map(([key, value]) => html`<div key=${key}><dt>${key}</dt><dd>${String(value)}</dd></div>`)}</dl>`;
}
