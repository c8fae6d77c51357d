// One trace: what the mesh did in words, then every span as a bar.
import { copy } from "../lib/actions.js";
import { api } from "../lib/api.js";
import { ago, clock, micros, plural } from "../lib/format.js";
import { faultWords } from "../lib/fault.js";
import { html, useEffect, useRef, useState } from "../lib/html.js";
import { go, href } from "../lib/route.js";
import { told } from "../lib/store.js";
import { readTrace, story } from "../lib/trace.js";
import { Dot, Empty, Icon } from "./parts.js";
import { Waterfall } from "./waterfall.js";

/** Spans arrive for a moment after the first; the view fetches again this often … */
const SETTLE_MS = 1200;
/** … until nothing new came so many times. */
const SETTLED_AFTER = 3;

export function TraceView({ id, span }) {
  const { trace, error, settled } = useTrace(id);
  const heading = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    heading.current?.focus({ preventScroll: true });
    return () => before?.focus?.({ preventScroll: true });
  }, [id]);
  return html`<section class="trace-view" role="dialog" aria-labelledby="trace-title">
    <div class="trace-inner">
      <div class="trace-top">
        <h2 id="trace-title" tabindex="-1" ref=${heading}>${trace?.root
          ? html`<${Dot} service=${trace.root.service} />${trace.root.service} <b>${trace.root.name.replace(/^inbound /, "")}</b>` : "Trace"}</h2>
        <span class="grow"></span>
        <code class="trace-id">${id}</code>
        <button type="button" class="button small" onClick=${() => copy(id, "Trace id")}><${Icon} name="copy" /> id</button>
        <button type="button" class="button small" onClick=${() => copy(location.href, "Link")}><${Icon} name="copy" /> link</button>
        <a class="button small" href=${`/jaeger/trace/${encodeURIComponent(id)}`} target="_blank" rel="noopener">Jaeger <${Icon} name="out" /></a>
        <a class="button small" href=${`/api/traces/${encodeURIComponent(id)}`} target="_blank" rel="noopener">JSON <${Icon} name="out" /></a>
        <button type="button" class="button small" onClick=${() => go()} title="Close (Esc)"><${Icon} name="close" /> Close</button>
      </div>
      ${error && html`<${Empty} title="This trace is not held here.">${error} The store keeps the newest traces; older ones made room. <a href="#/">Back to the mesh</a><//>`}
      ${!error && !trace && html`<${Empty} title="Reading the trace …"><//>`}
      ${trace?.rows.length > 0 && html`<${Summary} trace=${trace} settled=${settled} /><${Story} trace=${trace} />
        <${Waterfall} key=${id} trace=${trace} chosen=${span} />`}
    </div>
  </section>`;
}

function useTrace(id) {
  const [result, setResult] = useState({ trace: null, error: null, settled: false });
  useEffect(() => {
    let timer = null;
    let over = false;
    let spans = -1;
    let quiet = 0;
    const load = async () => {
      try {
        const data = await api.trace(id);
        if (over) return;
        quiet = data?.spans.length === spans ? quiet + 1 : 0;
        spans = data?.spans.length ?? 0;
        setResult({ trace: data && readTrace(data, told), error: data ? null : "The console knows no such trace.", settled: quiet >= SETTLED_AFTER });
      } catch (failure) {
        if (!over) setResult((before) => ({ ...before, error: before.trace ? null : failure.message }));
        quiet += 1;
      }
      if (!over && quiet < SETTLED_AFTER) timer = setTimeout(load, SETTLE_MS);
    };
    setResult({ trace: null, error: null, settled: false });
    load();
    return () => { over = true; clearTimeout(timer); };
  }, [id]);
  return result;
}

function Summary({ trace, settled }) {
  const { root } = trace;
  const failed = root.error || Number(root.status) >= 500;
  return html`<dl class="trace-facts">
    <div><dt>answer</dt><dd class=${failed ? "tone-bad" : "tone-ok"}>${root.status ?? (failed ? "failed" : "ok")}</dd></div>
    <div><dt>caller waited</dt><dd>${micros(root.duration)}</dd></div>
    ${trace.end - trace.start > root.duration * 1.2 && html`<div><dt>until all was done</dt><dd>${micros(trace.end - trace.start)}</dd></div>`}
    <div><dt>spans</dt><dd>${trace.rows.length}${settled ? "" : " …"}</dd></div>
    <div><dt>retries</dt><dd class=${trace.retries ? "tone-warn" : ""}>${trace.retries}</dd></div>
    <div><dt>faults</dt><dd class=${trace.faults.length ? "tone-bad" : ""}>${trace.faults.length
      ? trace.faults.map((rule) => html`<a class="chip bad" key=${rule} href=${href("chaos", rule)}>⚡ ${rule}</a>`) : "none"}</dd></div>
    <div><dt>started</dt><dd>${clock(trace.start / 1000)} <small class="muted">${ago(trace.start / 1000)}</small></dd></div>
    <div class="wide"><dt>${plural(trace.services.length, "service")}</dt><dd class="services">${trace.services.map((name) => html`<span key=${name}><${Dot} service=${name} />${name}</span>`)}</dd></div>
  </dl>`;
}

/** What the sidecars did about trouble, one line for each call that had any. */
function Story({ trace }) {
  const calls = story(trace);
  if (!calls.length) return html`<p class="story calm">Every call was answered at its first attempt.</p>`;
  return html`<ol class="story" aria-label="What happened">${calls.map((call) => html`<li key=${call.span.id}
    class=${call.failed ? "mood-bad" : "mood-warn"}>
    <strong><${Dot} service=${call.source} />${call.source === "external" ? "callers" : call.source} → <${Dot} service=${call.destination} />${call.destination}</strong>
    ${call.before.map((fault) => html`<span class="step bad">${faultWords(fault)}, before any attempt</span>`)}
    ${call.attempts.map((attempt) => html`<${Attempt} key=${attempt.number} attempt=${attempt} trace=${trace} />`)}
    <${Outcome} call=${call} /></li>`)}</ol>`;
}

function Attempt({ attempt, trace }) {
  const where = attempt.instance ? html` at <b>${attempt.instance}</b>` : "";
  const what = attempt.faults.length
    ? html`${attempt.faults.map(faultWords).join(", ")}`
    : attempt.failed ? `failed${attempt.status ? ` with ${attempt.status}` : ""}` : `${attempt.status ?? "ok"} in ${micros(attempt.span.duration)}`;
  return html`${attempt.pause && html`<span class="step pause">waited ${micros(attempt.pause.to - attempt.pause.from)}</span>`}
    <a href=${href("trace", trace.id, attempt.span.id)} title="Show this attempt" class=${attempt.failed || attempt.faults.length ? "step bad" : "step ok"}>attempt ${attempt.number}${where}: ${what}</a>`;
}

function Outcome({ call }) {
  if (call.saved) return html`<span class="step saved">the retry saved the call</span>`;
  if (call.broken) return html`<span class="step lost">the answer broke on its way to the caller</span>`;
  if (!call.failed) return null;
  const why = call.refused ?? call.reason;
  return html`<span class="step lost">the call failed${why ? `: ${String(why).replaceAll("_", " ")}` : ""}</span>`;
}
