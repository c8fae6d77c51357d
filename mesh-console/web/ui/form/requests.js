// Which requests: conditions, and whether they must ask for the rule.
import { copy } from "../../lib/actions.js";
import { OPERATORS, PATHS } from "../../lib/draft.js";
import { html } from "../../lib/html.js";
import { armLine, place } from "../../lib/rule.js";
import { useStore } from "../../lib/store.js";
import { Icon } from "../parts.js";
import { Check, Field, Group, Select, Text } from "./field.js";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"];
const EXAMPLES = { path: "/payments", path_prefix: "/payments", path_template: "/orders/{id}", path_regex: "/v[12]/.*" };

export function RequestFields({ fields, change, problems, id }) {
  const { overview } = useStore();
  const atNode = Boolean(place(fields.where).service);
  const flip = (method) => change({ methods: fields.methods.includes(method) ? fields.methods.filter((each) => each !== method) : [...fields.methods, method] });
  const path = ["match.path", "match.path_prefix", "match.path_template", "match.path_regex"];
  const line = armLine(id, overview?.shop_url);
  return html`<${Group} label="Methods" keys="match.methods" problems=${problems}>
      ${[...new Set([...METHODS, ...fields.methods])].map((method) => html`<button key=${method} type="button" class="kind" aria-pressed=${String(fields.methods.includes(method))} onClick=${() => flip(method)}>${method}</button>`)}<//>
    <${Group} label="Path" keys=${path} problems=${problems}>
      <${Select} aria-label="Path: how" value=${fields.pathKind} options=${Object.entries(PATHS)} onChange=${(pathKind) => change({ pathKind })} />
      ${fields.pathKind && html`<${Text} wide required aria-label="Path" placeholder=${EXAMPLES[fields.pathKind]} value=${fields.path} onChange=${(text) => change({ path: text })} />`}<//>
    <${Conditions} label="Headers" what="headers" fields=${fields} change=${change} problems=${problems} />
    <${Conditions} label="Baggage" what="baggage" fields=${fields} change=${change} problems=${problems} />
    ${atNode
      ? html`<${Field} label="Callers" keys="match.callers" problems=${problems}>${(control) => html`<${Text} ...${control} wide placeholder="all; or orders, gateway" value=${fields.callers} onChange=${(callers) => change({ callers })} />`}<//>`
      : html`<${Field} label="Route" keys="match.route" problems=${problems}>${(control) => html`<${Text} ...${control} wide placeholder="all; or the name of a route" value=${fields.route} onChange=${(route) => change({ route })} />`}<//>`}
    <${Group} label="Armed" keys="arm" problems=${problems}>
      <${Check} checked=${fields.armed} onChange=${(armed) => change({ armed })}>only requests that ask for it, and nobody else’s<//>
      ${fields.armed && html`<div class="command"><code>${line}</code><button type="button" class="ghost" aria-label="Copy the request that asks for the rule" title="Copy" onClick=${() => copy(line, "Command")}><${Icon} name="copy" /></button></div>`}<//>`;
}

/** Conditions on headers or members of the baggage; all must hold. */
function Conditions({ label, what, fields, change, problems }) {
  const list = fields[what];
  const put = (next) => change({ [what]: next });
  const set = (at, some) => put(list.map((each, i) => (i === at ? { ...each, ...some } : each)));
  return html`<${Group} label=${label} keys="match.${what}" problems=${problems}>
    ${list.map((each, i) => html`<div class="row condition" key=${i}>
      <${Text} size="9" required placeholder=${what === "headers" ? "x-user" : "tester"} aria-label="${label}: name" value=${each.name} onChange=${(name) => set(i, { name })} />
      <${Select} aria-label="${label}: how" value=${each.operator} options=${Object.entries(OPERATORS)} onChange=${(operator) => set(i, { operator })} />
      ${each.operator && html`<${Text} size="9" placeholder="value" aria-label="${label}: value" value=${each.value} onChange=${(value) => set(i, { value })} />`}
      <${Check} checked=${each.invert} onChange=${(invert) => set(i, { invert })}>not<//>
      <button type="button" class="ghost" aria-label="Take this condition out" onClick=${() => put(list.filter((_, at) => at !== i))}>✕</button></div>`)}
    <button type="button" class="link" onClick=${() => put([...list, { name: "", operator: "exact", value: "", invert: false }])}>${list.length ? "another" : "add a condition"}</button><//>`;
}
