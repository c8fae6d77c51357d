// The chaos board: what is broken on purpose, for how long, and how to end it.
import { deleteRule, showOne, toggleRule } from "../lib/actions.js";
import { count, countdown, millis, parseDuration, plural, ruleWords } from "../lib/format.js";
import { html, useEffect, useRef, useState } from "../lib/html.js";
import { href } from "../lib/route.js";
import { useStore } from "../lib/store.js";
import { Empty, Icon } from "./parts.js";
import { RuleForm } from "./rule-form.js";

export function ChaosBoard({ draft, onDraft }) {
  const { chaos, route } = useStore();
  const rules = chaos?.rules ?? [];
  const on = rules.filter((entry) => entry.rule.enabled).length;
  return html`<section class=${on ? "panel chaos active" : "panel chaos"} aria-labelledby="chaos-title">
    <div class="panel-head"><h2 id="chaos-title"><${Icon} name="bolt" /> Chaos</h2>
      <span class="muted" role="status">${on ? html`<b class="tone-bad">${plural(on, "rule")} in force</b>` : "none in force"}</span>
      <button type="button" class="button small" aria-expanded=${String(Boolean(draft))} onClick=${() => onDraft(draft ? null : {})}>
        <${Icon} name=${draft ? "close" : "plus"} /> ${draft ? "Close" : "New rule"}</button></div>
    ${draft && html`<${RuleForm} key=${draft.id ?? "new"} draft=${draft} onDone=${() => onDraft(null)} />`}
    ${chaos && !rules.length && !draft && html`<${Empty} title="There is no rule yet.">
      Add one here, or say <code>glassmesh chaos add payments --percent 30 --abort 503</code><//>`}
    <ul class="rules">${rules.map((entry) => html`<${RuleCard} key=${entry.rule.id} entry=${entry}
      chosen=${route.view === "chaos" && route.args[0] === entry.rule.id} onEdit=${() => onDraft(entry.rule)} />`)}</ul>
  </section>`;
}

/** One rule; also used beside the node or edge it breaks. */
export function RuleCard({ entry, chosen, onEdit }) {
  const { rule, injected } = entry;
  const card = useRef(null);
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    if (chosen) card.current?.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }, [chosen]);
  const flip = async () => {
    setBusy(true);
    await toggleRule(rule.id, !rule.enabled);
    setBusy(false);
  };
  return html`<li ref=${card} class=${["rule", rule.enabled ? "on" : "", chosen ? "chosen" : ""].join(" ")} data-rule=${rule.id}>
    <div class="rule-head">
      <button type="button" role="switch" class="switch" aria-checked=${String(rule.enabled)} aria-busy=${String(busy)}
        aria-label=${`${rule.id}: ${ruleWords(rule)}`} onClick=${flip}><i aria-hidden="true"></i></button>
      <a class="rule-id" href=${href("chaos", rule.id)}>${rule.id}</a>
      <span class="grow"></span>
      ${rule.enabled && html`<${TimeLeft} entry=${entry} />`}
      <span class="rule-tools">${onEdit && html`<button type="button" class="ghost" aria-label=${`Change ${rule.id}`} title="Change" onClick=${onEdit}><${Icon} name="pen" /></button>`}
        <button type="button" class="ghost" aria-label=${`Remove ${rule.id}`} title="Remove (can be undone)" onClick=${() => deleteRule(rule)}><${Icon} name="trash" /></button></span>
    </div>
    <p class="rule-words">${ruleWords(rule)}</p>
    ${rule.description && html`<p class="rule-note muted">${rule.description}</p>`}
    ${(rule.enabled || injected > 0) && html`<div class="rule-foot">
      ${rule.enabled && html`<${InForce} id=${rule.id} />`}
      ${injected > 0 && html`<span title="Faults injected since the console started"><b>${count(injected)}</b> injected</span>`}
      <span class="grow"></span>
      <button type="button" class="link" onClick=${() => showOne(rule.id)}>show me one</button>
    </div>`}
  </li>`;
}

/** Sidecars that said yes to the newest revision, and how long that took when it was asked here. */
function InForce({ id }) {
  const { chaos, receipts } = useStore();
  const everywhere = chaos.sidecars > 0 && chaos.acknowledged >= chaos.sidecars;
  if (!chaos.sidecars) return html`<span class="tone-warn">waits for a sidecar</span>`;
  if (!everywhere) return html`<span class="tone-warn">on its way, ${chaos.acknowledged}/${chaos.sidecars} sidecars</span>`;
  return html`<span class="in-force" title=${receipts[id] ? `${millis(receipts[id])} after the click` : null}>in force on <b>${chaos.acknowledged}/${chaos.sidecars}</b><span class="roomy"> sidecars</span>${
    receipts[id] ? html`<span class="muted latency"> after ${millis(Math.max(1, receipts[id]))}</span>` : ""}</span>`;
}

function TimeLeft({ entry }) {
  const { chaosAt } = useStore();
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((number) => number + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  if (entry.expires_in_ms == null) return null;
  const left = Math.max(0, entry.expires_in_ms - (Date.now() - chaosAt));
  const whole = parseDuration(entry.rule.for);
  const share = whole ? Math.min(1, left / whole) : 1;
  return html`<span class="time-left" title="Time until the rule turns itself off">
    <span class="meter" aria-hidden="true"><i style=${{ width: `${(share * 100).toFixed(1)}%` }}></i></span>${countdown(left)}</span>`;
}
