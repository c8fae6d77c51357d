// One rule: what it does, to what, when, and what it met.
import { copy, deleteRule, showOne, toggleRule } from "../lib/actions.js";
import { command } from "../lib/command.js";
import { count, countdown, millis, parseDuration } from "../lib/format.js";
import { html, useEffect, useRef, useState } from "../lib/html.js";
import { receiptNotes, struckWords } from "../lib/receipt.js";
import { href } from "../lib/route.js";
import { armLine, conditions, guardWords, limits, ruleWords } from "../lib/rule.js";
import { scheduleWords } from "../lib/schedule.js";
import { useStore } from "../lib/store.js";
import { Icon, Prose, useTick } from "./parts.js";
import { ScheduleBar } from "./schedule-bar.js";

/** Also used beside the node or edge that the rule breaks. */
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
      <${Tools} rule=${rule} onEdit=${onEdit} />
    </div>
    <p class="rule-words">${ruleWords(rule)}</p>
    ${rule.description && html`<p class="rule-note muted">${rule.description}</p>`}
    <${Terms} entry=${entry} shown=${rule.enabled || chosen} />
    ${(rule.enabled || injected > 0) && html`<${Receipt} entry=${entry} />`}
  </li>`;
}

function Tools({ rule, onEdit }) {
  const usual = location.port === "4090" && /^(localhost|127\.)/.test(location.hostname);
  const make = () => copy(command(rule, usual ? null : location.origin), "The command that makes this rule");
  return html`<span class="rule-tools">
    <button type="button" class="ghost" aria-label=${`Copy the command that makes ${rule.id}`} title="Copy the command that makes it" onClick=${make}><${Icon} name="terminal" /></button>
    ${onEdit && html`<button type="button" class="ghost" aria-label=${`Change ${rule.id}`} title="Change" onClick=${onEdit}><${Icon} name="pen" /></button>`}
    <button type="button" class="ghost" aria-label=${`Remove ${rule.id}`} title="Remove (can be undone)" onClick=${() => deleteRule(rule)}><${Icon} name="trash" /></button></span>`;
}

/** Conditions, arming, schedule, bounds and guard, each where there is one. */
function Terms({ entry, shown }) {
  const { rule } = entry;
  const { overview } = useStore();
  const only = conditions(rule);
  const bounds = [...limits(rule), rule.seed ? `seed ${rule.seed}` : ""].filter(Boolean);
  const when = scheduleWords(rule.schedule);
  const line = armLine(rule.id, overview?.shop_url);
  return html`<dl class="terms">
    ${only.length > 0 && html`<${Term} name="only">${only.map((words) => html`<span class="chip" key=${words}>${words}</span>`)}<//>`}
    ${rule.arm === "baggage" && html`<${Term} name="armed by">${shown
      ? html`<span class="command"><code>${line}</code><button type="button" class="ghost" aria-label=${`Copy the request that asks for ${rule.id}`} title="Copy" onClick=${() => copy(line, "Command")}><${Icon} name="copy" /></button></span>`
      : html`<code>baggage: mesh.chaos=${rule.id}</code>`}<//>`}
    ${when && html`<${Term} name="when">${when}${rule.enabled && html`<${Schedule} entry=${entry} />`}<//>`}
    ${bounds.length > 0 && html`<${Term} name="bounds">${bounds.join(", ")}<//>`}
    ${rule.guard && html`<${Term} name="guard">${guardWords(rule.guard)}<//>`}
    ${entry.scenario && html`<${Term} name="scenario"><a href=${href("scenario", entry.scenario)}>${entry.scenario}</a><//>`}
  </dl>`;
}

const Term = ({ name, children }) => html`<div><dt>${name}</dt><dd>${children}</dd></div>`;

/** Where in its schedule the rule stands. */
function Schedule({ entry }) {
  const { chaosAt } = useStore();
  useTick(500);
  const ttl = parseDuration(entry.rule.for);
  if (entry.expires_in_ms == null || !ttl) return null;
  const since = ttl - entry.expires_in_ms + (Date.now() - chaosAt);
  const most = Math.max(Number(entry.rule.percent ?? 100), ...Object.values(entry.rule.percent_of ?? {}).map(Number));
  return html`<${ScheduleBar} schedule=${entry.rule.schedule} ttl=${ttl} since=${since} percent=${most} />`;
}

/** Who holds the rule, what it met, and the way to the traces. */
function Receipt({ entry }) {
  const { rule, receipt, injected } = entry;
  useTick(1000, rule.enabled);
  const notes = rule.enabled ? receiptNotes(entry) : [];
  return html`<div class="rule-foot">
    ${rule.enabled && html`<${InForce} id=${rule.id} />`}
    ${rule.enabled && receipt && !receipt.nothing && html`<span class="struck" title=${`At ${count(receipt.sidecars)} sidecars whose requests it concerns, since it was turned on`}>${struckWords(entry)}</span>`}
    ${notes.map(([words, tone]) => html`<span key=${words} class=${tone ? `tone-${tone}` : "muted"}>${words}</span>`)}
    ${!rule.enabled && injected > 0 && html`<span title="Faults injected since the console started"><b>${count(injected)}</b> injected</span>`}
    <span class="grow"></span>
    <span class="links"><button type="button" class="link" onClick=${() => showOne(rule.id)}>show me one</button>
      <a class="link" href=${href("struck", rule.id)} aria-label=${`Traces that ${rule.id} struck`}>traces</a></span>
    ${rule.enabled && receipt?.nothing && html`<p class="nothing"><${Prose} text=${receipt.nothing} /></p>`}
  </div>`;
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
  useTick(1000);
  if (entry.expires_in_ms == null) return null;
  const left = Math.max(0, entry.expires_in_ms - (Date.now() - chaosAt));
  const whole = parseDuration(entry.rule.for);
  const share = whole ? Math.min(1, left / whole) : 1;
  return html`<span class="time-left" title="Time until the rule turns itself off">
    <span class="meter" aria-hidden="true"><i style=${{ width: `${(share * 100).toFixed(1)}%` }}></i></span>${countdown(left)}</span>`;
}
