// The page: which views there are, and which keys do what.
import { halt, toggleRule, toggleTheme } from "./lib/actions.js";
import { start } from "./lib/feed.js";
import { edgeKey } from "./lib/history.js";
import { html, render, useEffect, useState } from "./lib/html.js";
import { go, href, parse } from "./lib/route.js";
import { set, state, useStore } from "./lib/store.js";
import { ActivityFeed } from "./ui/activity.js";
import { Calls } from "./ui/calls.js";
import { ChaosBoard } from "./ui/chaos.js";
import { Graph } from "./ui/graph.js";
import { Banner, Footer, Header } from "./ui/header.js";
import { Inspector } from "./ui/inspector.js";
import { Help, Toasts, act } from "./ui/overlays.js";
import { Scenarios } from "./ui/scenarios.js";
import { TraceView } from "./ui/trace-view.js";
import { Traces } from "./ui/traces.js";

function App() {
  const { route, overview, chaos, link } = useStore();
  const [draft, setDraft] = useState(null);
  const [help, setHelp] = useState(false);
  const place = placeOf(route);
  // A click on the graph chooses the place, and the form stands before what it opened.
  const begin = (rule) => setDraft(rule && !rule.id && !rule.where && place ? { ...rule, where: place } : rule);
  useEffect(() => {
    if (place) setDraft((before) => (before && !before.id ? { ...before, where: place } : before));
  }, [place]);
  useKeys({ draft, setDraft: begin, setHelp });
  const active = (chaos?.rules ?? []).filter((entry) => entry.rule.enabled).length;
  useEffect(() => {
    document.title = `${active ? `⚡${active} ` : ""}${overview?.mesh ?? "mesh"} · Glassmesh`;
  }, [active, overview?.mesh]);
  const tracing = route.view === "trace" && route.args.length > 0;
  return html`<a class="skip" href="#main" onClick=${skip}>Skip to the mesh</a>
    <${Header} onHelp=${() => setHelp(true)} />
    <${Banner} />
    <main id="main" tabindex="-1" class=${link === "gone" ? "old" : ""} inert=${tracing}>
      <div class="wide-column">
        <${Graph} />
        <div class="lower"><${Traces} /><${Calls} /></div>
        <${Footer} />
      </div>
      <div class="side-column">
        ${!draft && html`<${Inspector} />`}<${ChaosBoard} key="chaos" draft=${draft} onDraft=${begin} />${draft && html`<${Inspector} />`}
        <${Scenarios} /><${ActivityFeed} /></div>
    </main>
    ${tracing && html`<${TraceView} key=${route.args[0]} id=${route.args[0]} span=${route.args[1]} />`}
    <${Toasts} /><${Help} open=${help} onClose=${() => setHelp(false)} />`;
}

/** Where a rule could strike, of what is chosen in the graph. */
function placeOf({ view, args }) {
  if (view === "edge" && args.length === 2 && args[0] !== "external") return edgeKey(args[0], args[1]);
  return view === "service" ? args[0] : null;
}

/** The hash is the page's own; the skip link must not change it. */
function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

function useKeys(views) {
  useEffect(() => {
    const listener = (event) => press(event, views);
    addEventListener("keydown", listener);
    return () => removeEventListener("keydown", listener);
  }, [views.draft, views.setDraft]);
}

function press(event, { draft, setDraft, setHelp }) {
  // The way out works from everywhere, also out of a field.
  if (event.altKey && !event.ctrlKey && !event.metaKey && event.code === "KeyH") return hush(event);
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.closest?.("input:not([type=range]):not([type=checkbox]), select, textarea");
  if (event.key === "Escape") return close(event, typing, draft, setDraft);
  if (typing || document.querySelector("dialog[open]")) return;
  const run = SHORTCUTS[event.key]?.({ setDraft, setHelp }) ?? ruleKey(event.key);
  if (!run) return;
  event.preventDefault();
  run();
}

function hush(event) {
  event.preventDefault();
  halt();
}

const SHORTCUTS = {
  h: () => halt,
  t: () => toggleTheme,
  c: ({ setDraft }) => () => setDraft({}),
  "?": ({ setHelp }) => () => setHelp(true),
  s: () => () => document.querySelector(".scenario-head")?.focus(),
  "/": () => () => document.querySelector(".find input")?.focus(),
  u: () => {
    const entry = state.toasts.findLast((each) => each.action?.key === "u");
    return entry && (() => act(entry));
  },
};

function ruleKey(key) {
  const rule = /^[1-9]$/.test(key) ? state.chaos?.rules[Number(key) - 1]?.rule : null;
  return rule && (() => toggleRule(rule.id, !rule.enabled));
}

function close(event, typing, draft, setDraft) {
  if (document.querySelector("dialog[open]")) return;
  if (typing) event.target.blur();
  else if (draft) setDraft(null);
  else if (state.route.view) go();
}

// `/trace/ID`, as Jaeger's links look, is a way in too.
const asked = location.pathname.match(/^\/trace\/([0-9a-fA-F]+)\/?$/);
if (asked) history.replaceState(null, "", `/${href("trace", asked[1].toLowerCase())}`);
set({ route: parse(location.hash) });
addEventListener("hashchange", () => set({ route: parse(location.hash) }));
document.getElementById("app").replaceChildren();
render(html`<${App} />`, document.getElementById("app"));
start();
