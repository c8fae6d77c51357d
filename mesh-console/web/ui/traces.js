// Recent traces; the list holds still while one points at it.
import { api } from "../lib/api.js";
import { ago, micros, plural } from "../lib/format.js";
import { html, useEffect, useRef, useState } from "../lib/html.js";
import { go, href } from "../lib/route.js";
import { told, useStore } from "../lib/store.js";
import { Dot, Empty, Icon, Segments } from "./parts.js";

const FILTERS = [["all", "all"], ["failed", "failed"], ["faulted", "faulted"], ["retried", "retried"], ["slow", "slow"]];
const REFRESH_MS = 2000;
const ARRIVAL_MS = 4000;

const HINTS = {
  all: ["No trace has arrived yet.", html`Traces follow requests by about a second. Send one to the gateway, or <code>glassmesh load --rps 20</code>`],
  failed: ["No request failed.", "Retries hide a good deal. Look at “retried”, or turn on dead-users: no retry helps there."],
  faulted: ["No request met a fault.", "Turn a chaos rule on, and the first ones appear here within a second or two."],
  retried: ["No request was retried.", "Turn on a rule that answers errors on attempts, as flaky-payments does."],
  slow: ["No request was slow.", "Turn on a rule with a delay, as slow-inventory does."],
};

export function Traces() {
  const [filter, setFilter] = useState("all");
  const [held, setHeld] = useState(false);
  const { route } = useStore();
  const rule = route.view === "struck" ? route.args[0] : null;
  const panel = useRef(null);
  useEffect(() => {
    if (rule) panel.current?.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }, [rule]);
  const { traces, error } = useTraces({ filter, limit: 50, ...(rule ? { rule } : {}) }, held);
  const hint = rule ? ["No such trace is held.", html`Turn ${rule} on, and let some requests pass.`] : HINTS[filter];
  const hold = () => setHeld(true);
  const release = () => setHeld(false);
  const choose = (next) => {
    release();
    setFilter(next);
  };
  return html`<section ref=${panel} class="panel traces" aria-labelledby="traces-title">
    <div class="panel-head"><h2 id="traces-title">Traces</h2>
      <${Segments} label="Which traces" options=${FILTERS} value=${filter} onChange=${choose} />
      ${rule && html`<a class="chip bad" href="#/" title="Show all traces again">⚡ struck by ${rule} ✕</a>`}
      <small class="muted" role="status">${held ? "holds still while you point" : "newest first"}</small>
      <${Find} /></div>
    ${error && html`<p class="problems" role="alert">${error}</p>`}
    ${traces && !traces.length && html`<${Empty} title=${hint[0]}>${hint[1]}<//>`}
    ${traces?.length > 0 && html`<div onMouseEnter=${hold} onMouseLeave=${release} onFocusIn=${hold} onFocusOut=${release}>
      <${TraceList} traces=${traces} /></div>`}
  </section>`;
}

/** Spans come in parts: a trace whose root has not arrived is left out while it is young. */
const arrived = (trace) => trace.status_code != null || Date.now() - trace.start_us / 1000 > ARRIVAL_MS;

/** Traces for a query, refreshed while the page is seen and nobody points at them. */
export function useTraces(query, held = false) {
  const [result, setResult] = useState({ traces: null, error: null });
  const { link } = useStore();
  const key = JSON.stringify(query);
  useEffect(() => {
    let over = false;
    const load = async () => {
      try {
        const traces = await api.traces(JSON.parse(key));
        const shown = traces.filter(arrived).map(tellable);
        if (!over) setResult({ traces: filtersFaults(key) ? shown.filter((trace) => trace.faults.length) : shown, error: null });
      } catch (failure) {
        if (!over && link === "live") setResult((before) => ({ ...before, error: failure.message }));
      }
    };
    if (!held) load();
    const timer = setInterval(() => { if (!held && !document.hidden) load(); }, REFRESH_MS);
    return () => { over = true; clearInterval(timer); };
  }, [key, held, link]);
  return result;
}

/** Without the faults of a running mystery. */
const tellable = (trace) => ({ ...trace, faults: trace.faults.filter(told) });
const filtersFaults = (key) => JSON.parse(key).filter === "faulted";

function Find() {
  const find = (event) => {
    event.preventDefault();
    const id = new FormData(event.target).get("id").trim().toLowerCase();
    if (id) go("trace", id);
  };
  return html`<form class="find" role="search" onSubmit=${find}><${Icon} name="search" />
    <input name="id" aria-label="Open a trace by its id" placeholder="trace id …" pattern="\\s*[0-9a-fA-F]{16,32}\\s*" title="16 or 32 hex digits" autocomplete="off" spellcheck=${false} /></form>`;
}

/** Rows of traces; bars share one logarithmic scale. */
export function TraceList({ traces, compact = false }) {
  const longest = Math.max(1000, ...traces.map((trace) => trace.duration_us));
  return html`<ol class=${compact ? "trace-list compact" : "trace-list"}>${traces.map((trace) => html`<${TraceRow} key=${trace.trace_id}
    trace=${trace} longest=${longest} compact=${compact} />`)}</ol>`;
}

function TraceRow({ trace, longest, compact }) {
  const mood = trace.failed ? "bad" : trace.faults.length || trace.retries ? "warn" : "ok";
  const share = Math.log(1 + trace.duration_us / 300) / Math.log(1 + longest / 300);
  return html`<li><a class="trace-row mood-${mood}" href=${href("trace", trace.trace_id)} data-trace=${trace.trace_id}>
    <span class="status-code tone-${trace.failed ? "bad" : "ok"}">${trace.status_code ?? (trace.failed ? "failed" : "…")}</span>
    <span class="trace-name"><${Dot} service=${trace.service} />${trace.name.replace(/^inbound /, "")}</span>
    <span class="trace-marks">
      ${trace.faults.map((id) => html`<span key=${id} class="chip bad" title="A chaos rule hit this trace">⚡ ${id}</span>`)}
      ${trace.retries > 0 && html`<span class="chip warn" title="Attempts beyond the first">↻ ${trace.retries}</span>`}
    </span>
    <span class="trace-bar" aria-hidden="true"><i style=${{ width: `${(share * 100).toFixed(1)}%` }}></i></span>
    <span class="trace-time">${micros(trace.duration_us)}</span>
    ${!compact && html`<span class="trace-spans muted">${plural(trace.spans, "span")}</span>`}
    <span class="trace-ago muted">${ago(trace.start_us / 1000)}</span>
  </a></li>`;
}
