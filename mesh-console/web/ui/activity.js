// What happened to the mesh itself: restarts, chaos, policy.
import { ago, clock } from "../lib/format.js";
import { html } from "../lib/html.js";
import { href } from "../lib/route.js";
import { useStore } from "../lib/store.js";
import { Empty, Prose } from "./parts.js";

/** Names of rules that there are lead to their cards, those of scenarios to theirs. */
function RuleProse({ text }) {
  const { chaos, scenarios } = useStore();
  const view = (id, before) => (/scenario $/.test(before) ? "scenario" : (chaos?.rules ?? []).some((entry) => entry.rule.id === id) ? "chaos"
    : (scenarios ?? []).some((each) => each.id === id) ? "scenario" : null);
  const parts = text.split("`");
  return parts.map((part, i) => {
    if (i % 2 === 0) return part;
    const to = view(part, parts[i - 1]);
    return to ? html`<a key=${i} href=${href(to, part)}><code>${part}</code></a>` : html`<code key=${i}>${part}</code>`;
  });
}

export function ActivityFeed() {
  const { activity } = useStore();
  return html`<section class="panel activity" aria-labelledby="activity-title">
    <div class="panel-head"><h2 id="activity-title">Activity</h2></div>
    ${activity && !activity.length && html`<${Empty} title="Nothing has happened yet.">
      Toggle a rule, or kill a child process and watch it come back.<//>`}
    <ol class="feed" tabindex="0" aria-labelledby="activity-title" aria-live="polite" aria-relevant="additions">${(activity ?? []).slice(0, 30).map((entry) => html`<li key=${`${entry.at_ms} ${entry.text}`} class="kind-${entry.kind}">
      <i aria-hidden="true"></i><span><${entry.kind === "chaos" ? RuleProse : Prose} text=${entry.text} /></span>
      <time class="muted" title=${clock(entry.at_ms)} datetime=${new Date(entry.at_ms).toISOString()}>${ago(entry.at_ms)}</time></li>`)}</ol>
  </section>`;
}
