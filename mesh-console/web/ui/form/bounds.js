// When a rule strikes, how often at most, and what ends it early.
import { html } from "../../lib/html.js";
import { place, placeWords } from "../../lib/rule.js";
import { useStore } from "../../lib/store.js";
import { parseDuration } from "../../lib/format.js";
import { ScheduleBar } from "../schedule-bar.js";
import { Check, Field, Group, Inline, Select, Text } from "./field.js";

export function ScheduleFields({ fields, change, problems }) {
  const set = (some) => change({ schedule: { ...fields.schedule, ...some } });
  const part = (key, name, example) => html`<${Inline} name=${name}><${Text} size="5" placeholder=${example} value=${fields.schedule[key]} onChange=${(time) => set({ [key]: time })} /><//>`;
  const { after, on, off, ramp } = fields.schedule;
  return html`<${Group} label="Begins" keys="schedule.after" problems=${problems}>${part("after", "after", "at once")}<//>
    <${Group} label="Cycle" keys=${["schedule.on", "schedule.off"]} problems=${problems}>${part("on", "on for", "always")}${part("off", "off for", "never")}<//>
    <${Group} label="Ramp" keys=${["schedule.ramp", "schedule"]} problems=${problems.filter((each) => !/^schedule\.(after|on|off)/.test(each.key))}>${part("ramp", "full share after", "at once")}<//>
    ${(after || on || off || ramp) && html`<${ScheduleBar} schedule=${fields.schedule} ttl=${parseDuration(fields.ttl)} />`}`;
}

export function LimitFields({ fields, change, problems }) {
  const onEdge = fields.where && !place(fields.where).service;
  const part = (key, label, before, after) => html`<${Field} label=${label} keys=${key} problems=${problems}>${(control) => html`<div class="row inline">${before} <${Text} ...${control} size="5" inputmode="numeric" placeholder="all" value=${fields[key]} onChange=${(text) => change({ [key]: text })} /> ${after}</div>`}<//>`;
  return html`${onEdge && html`<${Group} label="Retries" keys="position" problems=${problems}>
      <${Check} checked=${fields.position === "request"} onChange=${(checked) => change({ position: checked ? "request" : "attempt" })}>cannot help: strike the whole request<//><//>`}
    ${part("first_attempts", "Attempts", "only the first", "of each request")}
    ${part("first_requests", "Requests", "only the first", "struck, at each sidecar")}
    ${part("max_affected", "At once", "at most", "at each sidecar")}
    <${GuardFields} fields=${fields} change=${change} problems=${problems} />
    <${Field} label="Seed" keys="seed" problems=${problems} hint="The same seed strikes the same attempts of the same traces.">${(control) => html`<${Text} ...${control} size="12" inputmode="numeric" placeholder="0" value=${fields.seed} onChange=${(seed) => change({ seed })} />`}<//>`;
}

function GuardFields({ fields, change, problems }) {
  const { overview } = useStore();
  const { guard } = fields;
  const set = (some) => change({ guard: { ...guard, ...some } });
  const places = [...(overview?.edges ?? []).filter((edge) => edge.source !== "external").map((edge) => `${edge.source} -> ${edge.destination}`),
    ...(overview?.services ?? []).map((service) => service.name)].sort();
  const options = [["", "nothing"], ...[...new Set([...places, guard.watch].filter(Boolean))].map((where) => [where, placeWords(where)])];
  return html`<${Group} label="Guard" keys="guard" problems=${problems} hint=${guard.watch ? "Watched over ten seconds; below, the rule is turned off." : null}>
    <${Inline} name="watch"><${Select} value=${guard.watch} options=${options} onChange=${(watch) => set({ watch })} /><//>
    ${guard.watch && html`<${Inline} name="off below" unit="% success"><${Text} size="4" inputmode="decimal" value=${guard.min_success} onChange=${(text) => set({ min_success: text })} /><//>
      <${Inline} name="from" unit="requests on"><${Text} size="4" inputmode="numeric" value=${guard.min_requests} onChange=${(text) => set({ min_requests: text })} /><//>`}<//>`;
}
