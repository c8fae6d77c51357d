// The bar that never leaves: who, how well, in agreement on what, and the red button.
import { halt, stopScenario, toggleTheme } from "../lib/actions.js";
import { ago, millis, percent, plural, rate, tone } from "../lib/format.js";
import { samples, summary } from "../lib/history.js";
import { html } from "../lib/html.js";
import { href } from "../lib/route.js";
import { useStore } from "../lib/store.js";
import { Icon, Spark } from "./parts.js";
import { Left } from "./scenarios.js";

/** Samples in a header's sparkline: two minutes. */
const SHOWN = 120;

export function Header({ onHelp }) {
  const { overview, chaos, scenarios, link } = useStore();
  const active = (chaos?.rules ?? []).filter((entry) => entry.rule.enabled).length;
  const staged = (scenarios ?? []).some((each) => each.running);
  return html`<header class="bar">
    <a class="brand" href="#/" title="The whole mesh">
      <img src="/assets/favicon.svg" width="28" height="28" alt="" />
      <span><strong>${overview?.mesh ?? "Glassmesh"}</strong><small>glassmesh</small></span>
    </a>
    <div class="status">
      <${Live} link=${link} />
      <${Receipts} chaos=${chaos} overview=${overview} />
    </div>
    <${Figures} overview=${overview} />
    <nav class="tools" aria-label="Tools">
      ${overview?.shop_url && html`<a class="button quiet" href=${safeUrl(overview.shop_url)} target="_blank" rel="noopener">
        Shop API <${Icon} name="out" /></a>`}
      <a class="button quiet" href="/jaeger/search" target="_blank" rel="noopener" title="Search and compare traces in Jaeger's own page">
        Jaeger <${Icon} name="out" /></a>
      <button type="button" class="button quiet square" onClick=${onHelp} aria-label="Keyboard shortcuts" title="Keyboard shortcuts (?)">?</button>
      <button type="button" class="button quiet square" onClick=${toggleTheme} aria-label="Switch between dark and light" title="Dark or light (t)">
        <${Icon} name="sun" /></button>
      <button type="button" id="halt" class=${active || staged ? "button halt armed" : "button halt"} onClick=${halt}
        title="Turn every chaos rule off, in every sidecar (h; Alt+H also while you type)">
        <${Icon} name="stop" /> Halt all${active ? ` · ${active}` : ""} <kbd>h</kbd></button>
    </nav>
  </header>`;
}

/** Only web addresses become links. */
const safeUrl = (url) => (/^https?:\/\//.test(url) ? url : "#/");

const LINKS = {
  connecting: ["idle", "connecting"],
  live: ["ok", "live"],
  stale: ["warn", "silent"],
  gone: ["bad", "unreachable"],
};

function Live({ link }) {
  const [tone, text] = LINKS[link];
  return html`<span class="live tone-${tone}" id="live" data-link=${link}><i aria-hidden="true"></i>${text}</span>`;
}

function Receipts({ chaos, overview }) {
  if (!chaos) return html`<span class="receipts muted">no word from the console yet</span>`;
  const { acknowledged, sidecars, revision } = chaos;
  if (!sidecars) return html`<span class="receipts tone-warn" id="receipts">no sidecar is connected</span>`;
  const behind = (overview?.services ?? []).flatMap((service) => service.instances)
    .filter((instance) => !instance.connected || (instance.revision ?? 0) < revision).map((instance) => instance.name);
  return html`<span class="receipts ${acknowledged < sidecars ? "tone-warn" : ""}" id="receipts"
    title=${behind.length ? `Not yet: ${behind.join(", ")}` : "Every connected sidecar has this policy in force"}>
    <b>${acknowledged}/${sidecars}</b> sidecars on revision <b>${revision}</b></span>`;
}

function Figures({ overview }) {
  const now = overview ? summary(overview) : {};
  const past = samples("").slice(-SHOWN);
  const mood = tone(now.success);
  return html`<dl class="figures">
    <${Figure} name="requests/s" value=${rate(now.rps)} values=${past.map((each) => each.rps)} tone="accent" />
    <${Figure} name="success" value=${percent(now.success)} values=${past.map((each) => each.success)} min=${0.5} max=${1.02}
      tone=${mood} loud=${mood === "bad" || mood === "warn"} />
    <${Figure} name="p99" value=${millis(now.p99)} values=${past.map((each) => each.p99)} tone="accent" />
  </dl>`;
}

const Figure = ({ name, value, values, min, max, tone, loud }) => html`<div class="figure">
  <dt>${name}</dt><dd class=${loud ? `tone-${tone}` : ""}>${value}</dd>
  <${Spark} values=${values} min=${min} max=${max} tone=${tone} /></div>`;

/** Said aloud, and over the page, while the console is gone. */
export function Banner() {
  const { link, overview, overviewAt } = useStore();
  const words = link === "gone"
    ? html`<strong>Console unreachable, traffic flows on.</strong> Sidecars keep the policy they have${
      overview ? ` and drop chaos rules when their time is up. What you see is from ${ago(overviewAt).replace("now", "a moment ago")}` : ""}. Trying again …`
    : link === "stale"
      ? html`<strong>The console is silent.</strong> Connected, but no numbers for ${Math.round((Date.now() - overviewAt) / 1000)} s.`
      : null;
  return html`<div class="banners"><div class="banner link-lost" role="status" aria-live="polite" hidden=${!words}>${words}</div>
    <${Halted} /><${Staged} /></div>`;
}

/** Sidecars at which chaos was halted without the console. */
function Halted() {
  const { chaos } = useStore();
  const halted = chaos?.halted ?? [];
  return html`<div class="banner halted" role="status" hidden=${!halted.length}>
    <strong>Chaos is halted at ${plural(halted.length, "sidecar")} alone:</strong> ${halted.join(", ")}.
    A signal or the admin API of ${halted.length === 1 ? "that sidecar" : "those sidecars"} did it; nothing strikes there until a rule is turned on here.</div>`;
}

/** The scenario that runs, wherever one is on the page. */
function Staged() {
  const { scenarios } = useStore();
  const running = (scenarios ?? []).filter((each) => each.running);
  return html`<div class="banner staged" role="status" hidden=${!running.length}>${running.map((each) => html`<p key=${each.id}>
    <strong>${each.mystery ? "A mystery runs" : "A scenario runs"}:</strong> <a href=${href("scenario", each.id)}>${each.title}</a>
    <${Left} scenario=${each} /><span class="grow"></span>
    <a href=${href("scenario", each.id)}>${each.mystery ? "find it, then reveal" : "what to look for"}</a>
    <button type="button" class="button small" onClick=${() => stopScenario(each)}>Stop</button></p>`)}</div>`;
}

/** What the trace store holds, in one line at the page's end. */
export function Footer() {
  const { overview } = useStore();
  const store = overview?.store;
  if (!store) return null;
  const share = store.capacity_bytes ? Math.round((store.bytes / store.capacity_bytes) * 100) : 0;
  return html`<footer class="foot muted">Trace store: ${plural(store.traces, "trace")}, ${plural(store.spans, "span")}${", "}
    ${(store.bytes / 1048576).toFixed(1)} of ${Math.round(store.capacity_bytes / 1048576)} MiB (${share} %).${" "}
    The oldest make room. <a href="/jaeger/search">Jaeger's page</a> searches them.</footer>`;
}
