// Which faults, and what each of them needs.
import { html } from "../../lib/html.js";
import { KINDS } from "../../lib/rule.js";
import { DelayFields } from "./delay.js";
import { Complaint, Group, Inline, Select, Text, isWrong } from "./field.js";

/** The kinds by what they do, with a word on each. */
const FAMILIES = [
  ["instead of an answer", [["abort", "An error answer"], ["reset", "The connection breaks"], ["refuse", "Nobody takes the connection"], ["hang", "No answer until somebody gives up"]]],
  ["time", [["delay", "A pause before the request goes on"], ["chunk_delay", "A pause before each piece of the answer’s body"], ["throttle", "The answer’s body comes slowly"]]],
  ["content", [["truncate", "The answer’s body breaks off"], ["corrupt", "Bytes of the answer’s body are changed"], ["request_headers", "Headers of the request are changed"], ["response_headers", "Headers of the answer are changed"]]],
];

const CODES = ["CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"];

export function FaultFields({ fields, change, problems }) {
  const toggle = (kind) => change({ kinds: fields.kinds.includes(kind) ? fields.kinds.filter((each) => each !== kind) : [...fields.kinds, kind] });
  const chosen = Object.keys(KINDS).filter((kind) => fields.kinds.includes(kind));
  return html`<${Group} label="Faults" keys=${""} problems=${problems}>
    <div class="families">${FAMILIES.map(([family, kinds]) => html`<div key=${family} class="family"><span class="muted">${family}</span>
      ${kinds.map(([kind, hint]) => html`<button key=${kind} type="button" class="kind" title=${hint} aria-pressed=${String(fields.kinds.includes(kind))}
        onClick=${() => toggle(kind)}>${KINDS[kind]}</button>`)}</div>`)}</div>
  <//>
  ${chosen.map((kind) => html`<${FaultField} key=${kind} kind=${kind} fields=${fields} change=${change} problems=${problems} several=${chosen.length > 1} />`)}
  ${chosen.length > 1 && html`<${Complaint} problems=${problems} keys="percent_of" />`}`;
}

function FaultField({ kind, fields, change, problems, several }) {
  const wrong = isWrong(problems, kind);
  const Part = PARTS[kind];
  const own = (share) => change({ percentOf: { ...fields.percentOf, [kind]: share } });
  if (!Part && !several && !wrong) return null;
  return html`<div class=${wrong ? "fault wrong" : "fault"} role="group" aria-label=${KINDS[kind]}>
    <div class="fault-head"><b>${KINDS[kind]}</b>${several && html`<${Inline} name="own share" unit="%">
      <${Text} size="4" inputmode="decimal" placeholder=${fields.percent} value=${fields.percentOf[kind] ?? ""} onChange=${own} aria-label="${KINDS[kind]}: own share in percent" /><//>`}</div>
    ${Part && html`<${Part} value=${fields[kind]} onChange=${(value) => change({ [kind]: value })} wrong=${wrong} kind=${kind} />`}
    <${Complaint} problems=${problems} keys=${kind} /></div>`;
}

const Pause = ({ kind, value, onChange, wrong }) => html`<${DelayFields} delay=${value} label=${KINDS[kind]} onChange=${onChange} wrong=${wrong} />`;

function AbortFields({ value, onChange, wrong }) {
  const set = (some) => onChange({ ...value, ...some });
  const invalid = wrong ? "true" : null;
  return html`<div class="row">
    <${Select} aria-label="Kind of error" value=${value.grpc ? "grpc" : "http"} options=${[["http", "HTTP status"], ["grpc", "gRPC status"]]} onChange=${(kind) => set({ grpc: kind === "grpc" })} />
    ${value.grpc
      ? html`<${Select} aria-label="gRPC status" value=${value.code} options=${[...new Set([...CODES, value.code])].map((code) => [code, code])} onChange=${(code) => set({ code })} />`
      : html`<${Text} size="4" inputmode="numeric" required list="statuses" aria-label="HTTP status" value=${value.status} onChange=${(status) => set({ status })} aria-invalid=${invalid} />
        <datalist id="statuses">${[500, 502, 503, 504, 429, 404].map((status) => html`<option value=${status} />`)}</datalist>`}
    <label class="inline check"><input type="checkbox" checked=${value.own} onChange=${(event) => set({ own: event.target.checked })} /> ${value.grpc ? "message" : "body"} of its own</label></div>
    ${value.own && html`<textarea rows="2" aria-label=${value.grpc ? "Message" : "Body"} placeholder=${value.grpc ? "back in a minute" : '{"error": "back in a minute"}'} value=${value.text} onInput=${(event) => set({ text: event.target.value })}></textarea>
      ${!value.grpc && html`<${Inline} name="content type"><${Text} size="18" placeholder="guessed from the body" value=${value.type} onChange=${(type) => set({ type })} /><//>`}`}`;
}

const SIZES = {
  throttle: ["at", "10KiB/s", "no faster than this"],
  truncate: ["after", "100B", "then it breaks off"],
  corrupt: ["one byte in each", "64B", "is changed; at least one"],
};

function SizeField({ kind, value, onChange, wrong }) {
  const [name, example, after] = SIZES[kind];
  return html`<div class="row"><${Inline} name=${name} unit=${after}><${Text} size="8" required placeholder=${example} value=${value} onChange=${onChange} aria-invalid=${wrong ? "true" : null} /><//></div>`;
}

const OPERATIONS = [["set", "set"], ["add", "add"], ["remove", "drop"]];

function HeaderFields({ kind, value, onChange }) {
  const set = (at, some) => onChange(value.map((each, i) => (i === at ? { ...each, ...some } : each)));
  return html`${value.map((each, i) => html`<div class="row triple" key=${i}>
      <${Select} aria-label="Change" value=${each.operation} options=${OPERATIONS} onChange=${(operation) => set(i, { operation })} />
      <${Text} wide required placeholder="x-header" aria-label="Header" value=${each.name} onChange=${(name) => set(i, { name })} />
      ${each.operation === "remove" ? html`<span></span>` : html`<${Text} wide placeholder="value" aria-label="Value" value=${each.value} onChange=${(text) => set(i, { value: text })} />`}
      <button type="button" class="ghost" aria-label="Take this header out" disabled=${value.length < 2} onClick=${() => onChange(value.filter((_, at) => at !== i))}>✕</button></div>`)}
    <button type="button" class="link" onClick=${() => onChange([...value, { operation: "set", name: "", value: "" }])}>another header of ${KINDS[kind].startsWith("request") ? "the request" : "the answer"}</button>`;
}

const PARTS = {
  delay: Pause, chunk_delay: Pause, abort: AbortFields,
  throttle: SizeField, truncate: SizeField, corrupt: SizeField,
  request_headers: HeaderFields, response_headers: HeaderFields,
};
