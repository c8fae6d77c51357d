// Makes a rule, or changes one. The sentence under it is what will happen; what the console
// has against it stands at its field.
import { saveRule } from "../lib/actions.js";
import { compose, problemsAt, shownKeys, start } from "../lib/draft.js";
import { html, useEffect, useId, useRef, useState } from "../lib/html.js";
import { conditions, guardWords, limits, placeWords, ruleWords } from "../lib/rule.js";
import { scheduleWords } from "../lib/schedule.js";
import { toast, useStore } from "../lib/store.js";
import { LimitFields, ScheduleFields } from "./form/bounds.js";
import { FaultFields } from "./form/faults.js";
import { Field, Select, Text, isWrong } from "./form/field.js";
import { RequestFields } from "./form/requests.js";
import { Prose } from "./parts.js";

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
  // A click on the graph chooses the place of a new rule.
  useEffect(() => {
    if (!draft.id && draft.where) change({ where: draft.where });
  }, [draft.where]);
  useEffect(() => {
    if (failure) form.current?.querySelector("[aria-invalid=true], .wrong input, .wrong select, .wrong button")?.focus();
  }, [failure]);
  const taken = (chaos?.rules ?? []).map((entry) => entry.rule.id);
  const rule = compose(fields, draft, taken);
  const save = async (enabled) => {
    if (!form.current.reportValidity()) return;
    setBusy(true);
    setFailure(null);
    try {
      await saveRule({ ...rule, enabled });
      toast({ tone: "ok", text: enabled ? `${rule.id} is on its way to every sidecar.` : `${rule.id} is kept, switched off.` }, 4000);
      onDone?.(rule.id);
    } catch (error) {
      setFailure(error);
    }
    setBusy(false);
  };
  const own = { fields, change, problems: failure?.problems ?? [] };
  return html`<form class="rule-form" ref=${form} aria-label=${draft.id ? `Change ${draft.id}` : "New chaos rule"}
    onSubmit=${(event) => { event.preventDefault(); save(true); }}>
    ${!fixed && html`<${PlaceField} ...${own} />`}
    <${FaultFields} ...${own} />
    <${ShareField} ...${own} />
    <${TimeField} ...${own} />
    <${Section} title="Which requests" words=${[...conditions(rule), fields.armed && "armed by baggage"]} none="all" keys=${["match", "arm"]} problems=${own.problems}>
      <${RequestFields} ...${own} id=${rule.id} /><//>
    <${Section} title="When" words=${[scheduleWords(rule.schedule)]} none="all the time" keys=${["schedule"]} problems=${own.problems}><${ScheduleFields} ...${own} /><//>
    <${Section} title="Bounds, guard, seed" words=${[...limits(rule), rule.position === "request" && "retries cannot help", rule.guard && guardWords(rule.guard), rule.seed ? `seed ${rule.seed}` : ""]} none="none"
      keys=${["position", "first_attempts", "first_requests", "max_affected", "guard", "seed"]} problems=${own.problems}><${LimitFields} ...${own} /><//>
    <${NameFields} ...${own} fixedId=${draft.id} suggestion=${rule.id} />
    <p class="preview" aria-live="polite">${rule.where ? ruleWords(rule) : "Choose a place, here or in the graph, and this line says what will happen there."}</p>
    ${failure && html`<${Refusal} failure=${failure} fields=${fields} />`}
    <div class="form-foot">
      <button type="submit" class="button danger" disabled=${busy}>${draft.enabled ? "Change it now" : "Turn on"}</button>
      <button type="button" class="button" disabled=${busy} onClick=${() => save(false)}>Keep, switched off</button>
    </div>
  </form>`;
}

/** What was refused: problems of fields stand there, others here. */
function Refusal({ failure, fields }) {
  const shown = shownKeys(fields);
  const problems = failure.problems ?? [];
  const elsewhere = problems.filter((each) => !shown.some((key) => problemsAt([each], key).length));
  const here = problems.length - elsewhere.length;
  return html`<div class="problems" role="alert"><strong>${here
    ? `The console refuses this rule: ${here === 1 ? "one field is" : `${here} fields are`} marked above.`
    : html`<${Prose} text=${problems.length ? "The console refuses this rule." : failure.message} />`}</strong>
    ${elsewhere.length > 0 && html`<ul>${elsewhere.map((each) => html`<li>${each.key && html`<code>${each.key}</code> `}<${Prose} text=${each.message} /></li>`)}</ul>`}</div>`;
}

/** A part that is closed until it is needed; closed, it says what it holds. */
function Section({ title, words, none, keys, problems, children }) {
  const said = words.filter(Boolean);
  const [open, setOpen] = useState(said.length > 0);
  const wrong = isWrong(problems, keys);
  useEffect(() => {
    if (wrong) setOpen(true);
  }, [wrong, problems]);
  return html`<details class="section" open=${open} onToggle=${(event) => setOpen(event.currentTarget.open)}>
    <summary><b>${title}</b> <span class=${said.length ? "said" : "muted"}>${said.join(" · ") || none}</span></summary>
    <div class="section-body">${children}</div></details>`;
}

function PlaceField({ fields, change, problems }) {
  const { overview } = useStore();
  const value = fields.where;
  const services = (overview?.services ?? []).map((service) => service.name).sort();
  const instances = (overview?.services ?? []).filter((service) => service.instances.length > 1)
    .flatMap((service) => service.instances.map((instance) => instance.name)).sort();
  const edges = (overview?.edges ?? []).filter((edge) => edge.source !== "external")
    .map((edge) => `${edge.source} -> ${edge.destination}`).sort();
  const listed = !value || [...services, ...instances, ...edges].includes(value);
  const list = (names) => names.map((name) => html`<option key=${name} value=${name} selected=${name === value}>${placeWords(name)}</option>`);
  return html`<${Field} label="Where" keys="where" problems=${problems}>${(control) => html`<select ...${control} required value=${value} onChange=${(event) => change({ where: event.target.value })}>
      <option value="" disabled>choose, or click it in the graph …</option>
      ${!listed && html`<option value=${value} selected>${value}</option>`}
      <optgroup label="A service, for all its callers">${list(services)}</optgroup>
      ${instances.length > 0 && html`<optgroup label="One instance">${list(instances)}</optgroup>`}
      <optgroup label="A call, for this caller alone">${list(edges)}</optgroup>
    </select>`}<//>`;
}

function ShareField({ fields, change, problems }) {
  const share = Number(fields.percent);
  return html`<${Field} label="Share" keys=${["percent", "percent_of"]} problems=${problems}>${(control) => html`<div class="row slider">
    <input ...${control} type="range" min="0" max="100" step="1" value=${Number.isFinite(share) ? share : 0} onInput=${(event) => change({ percent: event.target.value })} />
    <${Inline} label="Share in percent" value=${fields.percent} onChange=${(percent) => change({ percent })} /></div>`}<//>`;
}

const Inline = ({ label, value, onChange }) => html`<span class="inline"><${Text} size="4" inputmode="decimal" aria-label=${label} value=${value} onChange=${onChange} /> %</span>`;

function TimeField({ fields, change, problems }) {
  const durations = DURATIONS.some(([key]) => key === fields.ttl) ? DURATIONS : [[fields.ttl, fields.ttl], ...DURATIONS];
  return html`<${Field} label="Off after" keys="for" problems=${problems}>${(control) => html`<${Select} ...${control} value=${fields.ttl} options=${durations} onChange=${(ttl) => change({ ttl })} />`}<//>`;
}

function NameFields({ fields, change, problems, fixedId, suggestion }) {
  const note = useId();
  return html`<${Field} label="Name" keys="id" problems=${problems}>${(control) => html`<${Text} ...${control} wide value=${fields.id} readonly=${Boolean(fixedId)}
      placeholder=${suggestion} title="Lower-case letters, digits and -" onChange=${(id) => change({ id })} />`}<//>
    <${Field} label="Note" keys="description" problems=${problems}>${(control) => html`<${Text} ...${control} wide key=${note} maxlength="1000" placeholder="what it shows, for people" value=${fields.description} onChange=${(description) => change({ description })} />`}<//>`;
}
