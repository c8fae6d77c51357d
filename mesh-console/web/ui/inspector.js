// One service or one call, close up: numbers, the last minutes, chaos, traces.
import { millis, percent, rate, tone } from "../lib/format.js";
import { html, useState } from "../lib/html.js";
import { edgeKey } from "../lib/history.js";
import { href } from "../lib/route.js";
import { hits, hitsNode, place } from "../lib/rule.js";
import { hides, homeOf, state, useStore } from "../lib/store.js";
import { EdgeChart } from "./chart.js";
import { Dot, Empty, Icon } from "./parts.js";
import { RuleCard } from "./rule-card.js";
import { RuleForm } from "./rule-form.js";
import { TraceList, useTraces } from "./traces.js";

export function Inspector() {
  const { route } = useStore();
  if (route.view === "edge" && route.args.length === 2) return html`<${EdgePanel} key=${route.args.join()} source=${route.args[0]} destination=${route.args[1]} />`;
  if (route.view === "service" && route.args.length === 1) return html`<${ServicePanel} key=${route.args[0]} name=${route.args[0]} />`;
  return null;
}

function Frame({ title, children }) {
  return html`<section class="panel inspector" aria-labelledby="inspector-title">
    <div class="panel-head"><h2 id="inspector-title">${title}</h2>
      <a class="ghost" href="#/" aria-label="Close" title="Close (Esc)"><${Icon} name="close" /></a></div>
    ${children}</section>`;
}

function EdgePanel({ source, destination }) {
  const { overview, chaos } = useStore();
  const edge = overview?.edges.find((each) => each.source === source && each.destination === destination);
  const title = html`<${Dot} service=${source} />${source} <span class="muted">→</span> <${Dot} service=${destination} />${destination}`;
  const rules = (chaos?.rules ?? []).filter((entry) => hits(entry.rule, source, destination, homeOf));
  if (overview && !edge) return html`<${Frame} title=${title}><${Empty} title="Nobody makes this call.">
    No request was seen, and no policy allows it. <a href="#/">Back to the mesh</a><//><//>`;
  return html`<${Frame} title=${title}>
    ${edge && html`<${EdgeNumbers} edge=${edge} />`}
    <${EdgeChart} source=${source} destination=${destination} />
    ${source !== "external" && html`<${Break} where=${edgeKey(source, destination)} rules=${rules} />`}
    <${Evidence} service=${destination} rules=${rules} keep=${(trace) => trace.services.includes(source) || source === "external"} />
  <//>`;
}

function EdgeNumbers({ edge }) {
  const { requests } = edge;
  const amplification = requests.rps > 0 ? edge.attempts_per_second / requests.rps : null;
  return html`<dl class="numbers">
    <${Fact} name="requests/s" value=${rate(requests.rps)} />
    <${Fact} name="success" value=${percent(requests.success)} tone=${tone(requests.success)} />
    <${Fact} name="before retry" value=${percent(edge.attempt_success)} tone=${tone(edge.attempt_success)} />
    <${Fact} name="attempts per request" value=${amplification == null ? "–" : `×${amplification.toFixed(2)}`} tone=${amplification > 1.05 ? "warn" : ""} />
    <${Fact} name="p50" value=${millis(requests.p50_ms)} />
    <${Fact} name="p99" value=${millis(requests.p99_ms)} />
    <${Fact} name="retries/s" value=${rate(edge.retries_per_second)} tone=${edge.retries_per_second >= 0.05 ? "warn" : ""} />
    <${Fact} name="faults/s" value=${hides(state) ? "?" : rate(edge.faults_per_second)} tone=${!hides(state) && edge.faults_per_second >= 0.05 ? "bad" : ""} />
  </dl>`;
}

const Fact = ({ name, value, tone: mood = "" }) =>
  html`<div><dt>${name}</dt><dd class=${mood ? `tone-${mood}` : ""}>${value}</dd></div>`;

function ServicePanel({ name }) {
  const { overview, chaos } = useStore();
  const service = overview?.services.find((each) => each.name === name);
  const title = html`<${Dot} service=${name} />${name}`;
  if (overview && !service) return html`<${Frame} title=${title}><${Empty} title="No such service.">
    The mesh has no ${name}. <a href="#/">Back to the mesh</a><//><//>`;
  const rules = (chaos?.rules ?? []).filter((entry) => hitsNode(entry.rule, name, homeOf));
  return html`<${Frame} title=${title}>
    ${service && html`<dl class="numbers">
      <${Fact} name="requests/s in" value=${rate(service.inbound.rps)} />
      <${Fact} name="success" value=${percent(service.inbound.success)} tone=${tone(service.inbound.success)} />
      <${Fact} name="p50" value=${millis(service.inbound.p50_ms)} />
      <${Fact} name="p99" value=${millis(service.inbound.p99_ms)} />
    </dl>
    <${Instances} service=${service} revision=${overview.revision} />
    <${Neighbours} name=${name} edges=${overview.edges} />`}
    <${Break} where=${name} rules=${rules} />
    <${Evidence} service=${name} rules=${rules} keep=${() => true} />
  <//>`;
}

function Instances({ service, revision }) {
  return html`<h3>Instances</h3><ul class="instances">${service.instances.map((instance) => html`<li key=${instance.name}>
    <i class=${instance.connected ? "lamp ok" : "lamp bad"} aria-hidden="true"></i><b>${instance.name}</b>
    <span class="muted">${!instance.connected ? "its sidecar is not connected"
      : instance.revision == null ? "has no policy yet"
      : instance.revision < revision ? `on revision ${instance.revision}, ${revision} is newest` : `revision ${instance.revision}`}</span>
    <span class="grow"></span><span>${rate(instance.rps)}/s</span>
    ${instance.problems.length > 0 && html`<ul class="problems">${instance.problems.map((each) => html`<li><code>${each.key}</code> ${each.message}</li>`)}</ul>`}
  </li>`)}</ul>`;
}

function Neighbours({ name, edges }) {
  const list = (title, found, other) => found.length > 0 && html`<p class="neighbours"><span class="muted">${title}</span>
    ${found.map((edge) => html`<a class="chip" key=${edge[other]} href=${href("edge", edge.source, edge.destination)}><${Dot} service=${edge[other]} />${edge[other]}</a>`)}</p>`;
  return html`${list("called by", edges.filter((edge) => edge.destination === name), "source")}
    ${list("calls", edges.filter((edge) => edge.source === name), "destination")}`;
}

function Break({ where, rules }) {
  const [open, setOpen] = useState(false);
  return html`<div class="break"><div class="panel-head sub"><h3>Chaos here</h3>
    <button type="button" class="button small" aria-expanded=${String(open)} onClick=${() => setOpen(!open)}>
      <${Icon} name=${open ? "close" : "bolt"} /> ${open ? "Close" : place(where).service ? "Break this service" : "Break this call"}</button></div>
    ${open && html`<${RuleForm} draft=${{ where }} fixed onDone=${() => setOpen(false)} />`}
    ${rules.length > 0 && html`<ul class="rules">${rules.map((entry) => html`<${RuleCard} key=${entry.rule.id} entry=${entry} />`)}</ul>`}
    ${!rules.length && !open && html`<p class="muted">No rule strikes here.</p>`}</div>`;
}

/** Traces worth a look; those that only a rule elsewhere spoilt are left out. */
function Evidence({ service, rules, keep: fits }) {
  const here = rules.map((entry) => entry.rule.id);
  const keep = (trace) => fits(trace) && (!trace.faults.length || trace.faults.some((id) => here.includes(id)));
  const failed = useTraces({ service, filter: "failed", limit: 20 }).traces ?? [];
  const faulted = useTraces({ service, filter: "faulted", limit: 20 }).traces ?? [];
  const slow = useTraces({ service, filter: "slow", limit: 20 }).traces ?? [];
  const found = new Map([...failed, ...faulted, ...slow].filter(keep).map((trace) => [trace.trace_id, trace]));
  const traces = [...found.values()].sort((a, b) => b.start_us - a.start_us).slice(0, 8);
  return html`<h3>Failed, faulted and slow traces</h3>
    ${traces.length ? html`<${TraceList} traces=${traces} compact />` : html`<p class="muted">None lately. All is well here.</p>`}`;
}
