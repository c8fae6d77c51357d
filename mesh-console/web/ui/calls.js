// The same edges as a table: sortable, and readable by a screen reader.
import { millis, percent, rate, tone } from "../lib/format.js";
import { html, useState } from "../lib/html.js";
import { go, href } from "../lib/route.js";
import { hides, state, useStore } from "../lib/store.js";
import { edgeKey } from "../lib/history.js";
import { Dot, Empty } from "./parts.js";

const COLUMNS = [
  ["call", "call", (edge) => edgeKey(edge.source, edge.destination)],
  ["rate", "req/s", (edge) => edge.requests.rps, "What callers asked for, a second"],
  ["success", "success", (edge) => edge.requests.success, "What callers saw, after retries"],
  ["before", "before retry", (edge) => edge.attempt_success, "Share of attempts that succeeded"],
  ["p50", "p50", (edge) => edge.requests.p50_ms],
  ["p99", "p99", (edge) => edge.requests.p99_ms],
  ["retries", "retries/s", (edge) => edge.retries_per_second],
  ["faults", "faults/s", (edge) => edge.faults_per_second],
];

export function Calls() {
  const { overview, route } = useStore();
  const [sort, setSort] = useState({ by: "rate", down: true });
  const edges = order(overview?.edges ?? [], sort);
  const chosen = route.view === "edge" ? edgeKey(...route.args) : null;
  return html`<section class="panel calls" aria-labelledby="calls-title">
    <div class="panel-head"><h2 id="calls-title">Calls</h2><small class="muted">last ten seconds, at the callers’ sidecars</small></div>
    ${overview && !edges.length
      ? html`<${Empty} title="No call was seen yet.">Send one to the gateway, or start some load: <code>glassmesh load --rps 20</code><//>`
      : html`<div class="scroll"><table>
        <thead><tr>${COLUMNS.map(([key, title, , hint]) => html`<th key=${key} scope="col" title=${hint ?? null}
          aria-sort=${sort.by === key ? (sort.down ? "descending" : "ascending") : "none"}>
          <button type="button" onClick=${() => setSort({ by: key, down: sort.by === key ? !sort.down : key !== "call" })}>${title}</button></th>`)}</tr></thead>
        <tbody>${edges.map((edge) => html`<${Row} key=${edgeKey(edge.source, edge.destination)} edge=${edge}
          chosen=${chosen === edgeKey(edge.source, edge.destination)} />`)}</tbody>
      </table></div>`}
  </section>`;
}

function order(edges, { by, down }) {
  const value = COLUMNS.find(([key]) => key === by)[2];
  // Rates move each second; rounded, rows keep their place while one reads.
  const key = (edge) => {
    const raw = value(edge);
    return typeof raw === "number" ? Math.round(raw * 4) / 4 : raw ?? -1;
  };
  const compare = (a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0) * (down ? -1 : 1);
  return [...edges].sort((a, b) => compare(a, b)
    || edgeKey(a.source, a.destination).localeCompare(edgeKey(b.source, b.destination)));
}

function Row({ edge, chosen }) {
  const { requests } = edge;
  const idle = !(requests.rps > 0);
  const target = ["edge", edge.source, edge.destination];
  return html`<tr class=${[idle ? "still" : "", chosen ? "chosen" : ""].join(" ")} onClick=${() => go(...target)}>
    <th scope="row"><a href=${href(...target)}><${Dot} service=${edge.source} />${edge.source}
      <span class="muted"> → </span><${Dot} service=${edge.destination} />${edge.destination}</a></th>
    <td>${rate(requests.rps)}</td>
    <td class="tone-${tone(requests.success)}">${percent(requests.success)}</td>
    <td class="tone-${tone(edge.attempt_success)}">${percent(edge.attempt_success)}</td>
    <td>${millis(requests.p50_ms)}</td>
    <td>${millis(requests.p99_ms)}</td>
    <td class=${edge.retries_per_second >= 0.05 ? "tone-warn" : "zero"}>${rate(edge.retries_per_second)}</td>
    ${hides(state) ? html`<td class="zero" title="A mystery runs: find it yourself">?</td>`
      : html`<td class=${edge.faults_per_second >= 0.05 ? "tone-bad" : "zero"}>${rate(edge.faults_per_second)}</td>`}
  </tr>`;
}
