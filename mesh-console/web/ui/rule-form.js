// Makes a rule, or changes one. The sentence under it is what will happen.
import { fresh, saveRule } from "../lib/actions.js";
import { parseDuration, place, ruleWords } from "../lib/format.js";
import { html, useEffect, useId, useRef, useState } from "../lib/html.js";
import { toast, useStore } from "../lib/store.js";
import { Prose, Segments } from "./parts.js";

const STATUSES = [500, 502, 503, 504, 429, 404];
const DURATIONS = [["1m", "1 minute"], ["5m", "5 minutes"], ["10m", "10 minutes"], ["30m", "30 minutes"], ["1h", "1 hour"]];

/** `draft`: a rule, or some of its fields; `fixed`: the place cannot be changed here. */
export function RuleForm({ draft, fixed = false, onDone }) {
  const { chaos } = useStore();
  const [fields, setFields] = useState(() => start(draft));
  const [failure, setFailure] = useState(null);
  const [busy, setBusy] = useState(false);
  const form = useRef(null);
  const change = (some) => setFields((before) => ({ ...before, ...some }));
  useEffect(() => {
    if (!fixed) form.current?.querySelector("select, input")?.focus();
  }, []);
  const taken = (chaos?.rules ?? []).map((entry) => entry.rule.id);
  const rule = compose(fields, draft, taken);
  const save = async (enabled) => {
    if (!form.current.reportValidity()) return;
    setBusy(true);
    setFailure(null);
    try {
      await saveRule({ ...rule, enabled });
      toast({ tone: "ok", text: enabled ? `${rule.id} is on its way to every sidecar.` : `${rule.id} is kept, switched off.` }, 4000);
      onDone?.();
    } catch (error) {
      setFailure(error);
    }
    setBusy(false);
  };
  return html`<form class="rule-form" ref=${form} aria-label=${draft.id ? `Change ${draft.id}` : "New chaos rule"}
    onSubmit=${(event) => { event.preventDefault(); save(true); }}>
    ${!fixed && html`<${PlaceField} value=${fields.where} onChange=${(where) => change({ where })} />`}
    <${WhatFields} fields=${fields} change=${change} />
    <${Slider} value=${fields.percent} onChange=${(percent) => change({ percent })} />
    <${MoreFields} fields=${fields} change=${change} fixedId=${draft.id} suggestion=${rule.id} />
    <p class="preview" aria-live="polite">${rule.where ? ruleWords(rule) : "Choose a place, and this line says what will happen there."}</p>
    ${failure && html`<div class="problems" role="alert"><strong><${Prose} text=${failure.message} /></strong>
      ${failure.problems?.length > 0 && html`<ul>${failure.problems.map((each) => html`<li><code>${each.key}</code> <${Prose} text=${each.message} /></li>`)}</ul>`}</div>`}
    <div class="form-foot">
      <button type="submit" class="button danger" disabled=${busy}>${draft.enabled ? "Change it now" : "Turn on"}</button>
      <button type="button" class="button" disabled=${busy} onClick=${() => save(false)}>Keep, switched off</button>
    </div>
  </form>`;
}

function start(draft) {
  return {
    where: draft.where ?? "",
    what: draft.delay && draft.abort ? "both" : draft.delay ? "delay" : "abort",
    status: draft.abort ?? 503,
    delayMs: parseDuration(draft.delay) ?? 400,
    percent: draft.percent ?? 30,
    ttl: draft.for ?? "10m",
    position: draft.position ?? "attempt",
    id: draft.id ?? "",
    description: draft.description ?? "",
  };
}

function compose(fields, draft, taken) {
  const at = place(fields.where);
  return {
    ...(draft.id ? fresh(draft) : {}),
    id: fields.id || suggestId(fields, at, taken),
    description: fields.description,
    where: fields.where,
    percent: fields.percent,
    position: at.service ? "attempt" : fields.position,
    delay: fields.what === "abort" ? null : `${fields.delayMs}ms`,
    abort: fields.what === "delay" ? null : Number(fields.status),
    for: fields.ttl,
  };
}

/** `slow-orders-inventory`, and a number where that is taken. */
function suggestId(fields, at, taken) {
  const verb = { abort: fields.percent >= 100 ? "dead" : "flaky", delay: "slow", both: "bad" }[fields.what];
  const base = [verb, at.source, at.service ?? at.destination].filter(Boolean).join("-")
    .toLowerCase().replace(/[^a-z0-9-]/g, "-");
  let id = base;
  for (let number = 2; taken.includes(id); number++) id = `${base}-${number}`;
  return id;
}

function PlaceField({ value, onChange }) {
  const { overview } = useStore();
  const id = useId();
  const services = (overview?.services ?? []).map((service) => service.name).sort();
  const edges = (overview?.edges ?? []).filter((edge) => edge.source !== "external")
    .map((edge) => `${edge.source} -> ${edge.destination}`).sort();
  const listed = !value || services.includes(value) || edges.includes(value);
  return html`<div class="field"><label for=${id}>Where</label>
    <select id=${id} required value=${value} onChange=${(event) => onChange(event.target.value)}>
      <option value="" disabled>choose what to break …</option>
      ${!listed && html`<option value=${value}>${value}</option>`}
      <optgroup label="A service, for all its callers">${services.map((name) => html`<option value=${name}>${name}</option>`)}</optgroup>
      <optgroup label="A call, for this caller alone">${edges.map((edge) => html`<option value=${edge}>${edge.replace("->", "→")}</option>`)}</optgroup>
    </select></div>`;
}

function WhatFields({ fields, change }) {
  const id = useId();
  return html`<div class="field"><span class="label">Fault</span><div class="row">
    <${Segments} label="Fault" value=${fields.what} onChange=${(what) => change({ what })}
      options=${[["abort", "error"], ["delay", "delay"], ["both", "both"]]} />
    ${fields.what !== "delay" && html`<label class="inline" for="${id}s">status
      <select id="${id}s" value=${fields.status} onChange=${(event) => change({ status: Number(event.target.value) })}>
        ${[...new Set([...STATUSES, Number(fields.status)])].map((status) => html`<option value=${status}>${status}</option>`)}</select></label>`}
    ${fields.what !== "abort" && html`<label class="inline" for="${id}d">wait
      <input id="${id}d" type="number" min="1" max="60000" step="any" required value=${fields.delayMs}
        onInput=${(event) => change({ delayMs: Number(event.target.value) })} /> ms</label>`}
  </div></div>`;
}

function Slider({ value, onChange }) {
  const id = useId();
  return html`<div class="field"><label for=${id}>Share</label><div class="row slider">
    <input id=${id} type="range" min="0" max="100" step="1" value=${value} style=${{ "--share": `${value}%` }}
      onInput=${(event) => onChange(Number(event.target.value))} />
    <output for=${id}>${value} %</output></div></div>`;
}

function MoreFields({ fields, change, fixedId, suggestion }) {
  const id = useId();
  const onEdge = !place(fields.where).service;
  const durations = DURATIONS.some(([key]) => key === fields.ttl) ? DURATIONS : [[fields.ttl, fields.ttl], ...DURATIONS];
  return html`<div class="field"><label for="${id}f">Off after</label><div class="row">
    <select id="${id}f" value=${fields.ttl} onChange=${(event) => change({ ttl: event.target.value })}>
      ${durations.map(([key, text]) => html`<option value=${key}>${text}</option>`)}</select>
    ${onEdge && fields.where && html`<label class="inline check"><input type="checkbox" checked=${fields.position === "request"}
      onChange=${(event) => change({ position: event.target.checked ? "request" : "attempt" })} /> retries cannot help</label>`}
  </div></div>
  <div class="field"><label for="${id}i">Name</label>
    <input id="${id}i" type="text" value=${fields.id} readonly=${Boolean(fixedId)} placeholder=${suggestion} autocomplete="off"
      spellcheck=${false} title="Lower-case letters, digits and -" onInput=${(event) => change({ id: event.target.value })} /></div>`;
}
