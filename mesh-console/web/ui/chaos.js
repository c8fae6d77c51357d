// The chaos board: what is broken on purpose, for how long, and how to end it.
import { plural } from "../lib/format.js";
import { html } from "../lib/html.js";
import { go } from "../lib/route.js";
import { useStore } from "../lib/store.js";
import { Empty, Icon } from "./parts.js";
import { RuleCard } from "./rule-card.js";
import { RuleForm } from "./rule-form.js";

export function ChaosBoard({ draft, onDraft }) {
  const { chaos, route } = useStore();
  const rules = chaos?.rules ?? [];
  const on = rules.filter((entry) => entry.rule.enabled).length;
  const done = (id) => {
    onDraft(null);
    if (id) go("chaos", id);
  };
  return html`<section class=${on ? "panel chaos active" : "panel chaos"} aria-labelledby="chaos-title">
    <div class="panel-head"><h2 id="chaos-title"><${Icon} name="bolt" /> Chaos</h2>
      <span class="muted" role="status">${on ? html`<b class="tone-bad">${plural(on, "rule")} in force</b>` : "none in force"}</span>
      <button type="button" class="button small" aria-expanded=${String(Boolean(draft))} onClick=${() => onDraft(draft ? null : {})}>
        <${Icon} name=${draft ? "close" : "plus"} /> ${draft ? "Close" : "New rule"}</button></div>
    ${draft && html`<${RuleForm} key=${draft.id ?? "new"} draft=${draft} onDone=${done} />`}
    ${chaos && !rules.length && !draft && html`<${Empty} title="There is no rule yet.">
      Add one here, or say <code>glassmesh chaos add payments --percent 30 --abort 503</code><//>`}
    <ul class="rules">${rules.map((entry) => html`<${RuleCard} key=${entry.rule.id} entry=${entry}
      chosen=${route.view === "chaos" && route.args[0] === entry.rule.id} onEdit=${() => onDraft(entry.rule)} />`)}</ul>
  </section>`;
}
