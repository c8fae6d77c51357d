// The mesh as a picture: callers left, called right. Width is rate, colour is
// what callers saw, the halo is what the attempts saw before retries.
import { millis, percent, rate, tone } from "../lib/format.js";
import { html, useEffect, useMemo, useRef, useState } from "../lib/html.js";
import { edgeKey } from "../lib/history.js";
import { layout } from "../lib/layout.js";
import { href } from "../lib/route.js";
import { hits, hitsNode, place, ruleShort } from "../lib/rule.js";
import { hides, homeOf, state, useStore } from "../lib/store.js";
import { Empty, serviceHue } from "./parts.js";

const ROW_GAP = 22;
const NODE_HEIGHT = 58;
/** Narrower than this the picture scrolls instead of shrinking. */
const NARROWEST = 640;
/** Length of the moving pattern, twice `stroke-dasharray` of `.flow`; and the time between its steps. */
const DASH = 36;
const FLOW_MS = 80;

export function Graph() {
  const { overview, chaos, route, link } = useStore();
  const [box, width] = useWidth();
  const edges = overview?.edges ?? [];
  const names = useNames(overview);
  const drawing = useMemo(
    () => layout(names, edges, { width: width - 8, widthOf: (name, layers) => nodeWidth(name, width, layers), nodeHeight: NODE_HEIGHT, rowGap: ROW_GAP }),
    [names.join("\n"), edges.map((edge) => edgeKey(edge.source, edge.destination)).join("\n"), width],
  );
  useFlow(box);
  const rules = (chaos?.rules ?? []).map((entry) => entry.rule).filter((rule) => rule.enabled);
  const chosen = chosenKey(route);
  return html`<section class="panel graph" aria-label="Service graph" data-link=${link}>
    <div class="graph-box" ref=${box}>
      ${overview && !names.length && html`<${Empty} title="No service has reported yet.">
        Sidecars appear here as they connect to this console. Start the shop with <code>glassmesh up</code>.<//>`}
      ${!overview && html`<${Empty} title="Waiting for the console’s first numbers …"><//>`}
      ${names.length > 0 && width > 0 && html`<svg class=${chosen ? "mesh focused" : "mesh"} width=${width} height=${drawing.height + 12}
        viewBox="-4 -6 ${width} ${drawing.height + 12}" role="group" aria-label="Services and the calls between them">
        ${sorted(edges, chosen).map((edge) => html`<${Edge} key=${edgeKey(edge.source, edge.destination)} edge=${edge}
          points=${ports(drawing, edge)} rules=${rules} chosen=${chosen} />`)}
        ${names.map((name) => html`<${Node} key=${name} name=${name} at=${drawing.nodes.get(name)}
          service=${overview.services.find((service) => service.name === name)} rules=${rules} chosen=${chosen} />`)}
        ${edges.map((edge) => html`<${Badge} key=${`b ${edgeKey(edge.source, edge.destination)}`} edge=${edge} rules=${rules}
          points=${ports(drawing, edge)} chosen=${chosen} />`)}
      </svg>`}
    </div>
    <${Legend} />
  </section>`;
}

/** Nodes give way to the lines between them where room is short. */
function nodeWidth(name, width, layers) {
  const share = (width / layers) * 0.66;
  return name === "external" ? Math.min(112, Math.max(68, share * 0.5)) : Math.min(182, Math.max(136, share));
}

function useWidth() {
  const box = useRef(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(Math.max(NARROWEST, Math.floor(entry.contentRect.width))));
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  return [box, width];
}

/**
 * Moves the dashes along the lines. Not a CSS animation: that repaints the picture at the
 * screen's rate, which took half a core where no graphics card helps; a third of the frames
 * look the same here.
 */
function useFlow(box) {
  useEffect(() => {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const timer = setInterval(() => {
      if (document.hidden || document.querySelector(".trace-view")) return;
      const seconds = performance.now() / 1000;
      for (const path of box.current?.querySelectorAll(".flow") ?? []) {
        path.style.strokeDashoffset = -((seconds * Number(path.dataset.speed)) % DASH);
      }
    }, FLOW_MS);
    return () => clearInterval(timer);
  }, []);
}

function useNames(overview) {
  if (!overview) return [];
  const outside = overview.edges.some((edge) => edge.source === "external") ? ["external"] : [];
  return [...outside, ...overview.services.map((service) => service.name)];
}

function chosenKey({ view, args }) {
  if (view === "edge" && args.length === 2) return edgeKey(args[0], args[1]);
  return view === "service" ? args[0] : null;
}

/** The chosen edge is drawn last, over the others. */
const sorted = (edges, chosen) =>
  [...edges].sort((a, b) => (edgeKey(a.source, a.destination) === chosen) - (edgeKey(b.source, b.destination) === chosen));

/** Ends of an edge's line: spread along its nodes' sides, in the order of where they lead. */
function ports(drawing, edge) {
  const points = drawing.edges.get(edgeKey(edge.source, edge.destination));
  if (!points) return null;
  const last = points.length - 1;
  const shift = (end, next, isSource) => {
    const fellows = [...drawing.edges].filter(([key]) => key.split(" -> ")[isSource ? 0 : 1] === (isSource ? edge.source : edge.destination));
    const turn = ([, line]) => (isSource ? line[1] : line[line.length - 2]).y;
    fellows.sort((a, b) => turn(a) - turn(b) || a[0].localeCompare(b[0]));
    const at = fellows.findIndex(([key]) => key === edgeKey(edge.source, edge.destination));
    const pitch = Math.min(isSource ? 12 : 26, (NODE_HEIGHT - 12) / Math.max(1, fellows.length - 1));
    const side = next.x >= end.x ? 1 : -1;
    return { x: end.x + side * end.width / 2, y: end.y + (at - (fellows.length - 1) / 2) * pitch };
  };
  return [shift(points[0], points[1], true), ...points.slice(1, -1), shift(points[last], points[last - 1], false)];
}

function curve(points) {
  return points.map((point, i) => {
    if (!i) return `M${point.x.toFixed(1)} ${point.y.toFixed(1)}`;
    const bend = (point.x - points[i - 1].x) * 0.5;
    return `C${(points[i - 1].x + bend).toFixed(1)} ${points[i - 1].y.toFixed(1)} ${(point.x - bend).toFixed(1)} ${point.y.toFixed(1)} ${point.x.toFixed(1)} ${point.y.toFixed(1)}`;
  }).join("");
}

const touches = (edge, chosen) => edgeKey(edge.source, edge.destination) === chosen
  || edge.source === chosen || edge.destination === chosen;

function Edge({ edge, points, chosen }) {
  if (!points) return null;
  const { rps, success } = edge.requests;
  const path = curve(points);
  const width = rps > 0 ? Math.min(9, 1.6 + 1.25 * Math.log2(1 + rps)) : 1.4;
  const before = tone(edge.attempt_success);
  const classes = ["edge", `tone-${tone(success)}`, rps > 0 ? "" : "still", touches(edge, chosen) ? "near" : ""].join(" ");
  return html`<a class=${classes} href=${href("edge", edge.source, edge.destination)} data-edge=${edgeKey(edge.source, edge.destination)}>
    <title>${edgeWords(edge)}</title>
    <path class="hit" d=${path} />
    ${(before === "warn" || before === "bad") && html`<path class="halo tone-${before}" d=${path} stroke-width=${width + 8} />`}
    <path class="line" d=${path} stroke-width=${width} />
    ${rps > 0 && html`<path class="flow" d=${path} stroke-width=${Math.max(1.2, width * 0.4)}
      data-speed=${(DASH / Math.max(0.7, 3 - Math.log2(1 + rps) * 0.45)).toFixed(1)} />`}
  </a>`;
}

function edgeWords(edge) {
  const { requests } = edge;
  return `${edge.source} to ${edge.destination}: ${rate(requests.rps)} requests per second, ${percent(requests.success)} success`
    + ` (${percent(edge.attempt_success)} before retries), p99 ${millis(requests.p99_ms)}`;
}

/** What an edge has to say, where it arrives: rate; when there is trouble, the trouble. */
function Badge({ edge, points, rules, chosen }) {
  if (!points) return null;
  const { rps, success } = edge.requests;
  const own = rules.filter((rule) => place(rule.where).source && hits(rule, edge.source, edge.destination));
  const onNode = rules.some((rule) => hitsNode(rule, edge.destination, homeOf));
  const mood = tone(success);
  let parts = [
    ...own.map((rule) => ["bad", `⚡${ruleShort(rule)}`]),
    (mood === "bad" || mood === "warn") && [mood, percent(success)],
    edge.retries_per_second >= 0.05 && ["warn", `↻${rate(edge.retries_per_second)}/s`],
    !own.length && !onNode && !hides(state) && edge.faults_per_second >= 0.05 && ["bad", `⚡${rate(edge.faults_per_second)}/s`],
  ].filter(Boolean);
  if (!parts.length) {
    if (!(rps > 0)) return null;
    parts.push(["plain", `${rate(rps)}/s`]);
  }
  const plain = parts[0][0] === "plain";
  const [from, to] = points.slice(-2);
  const room = Math.abs(to.x - from.x) - 12;
  const widthOf = () => parts.map(([, words]) => words).join(" ").length * 6.6 + (plain ? 8 : 20);
  while (parts.length > 1 && widthOf() > room) parts = parts.slice(0, -1);
  const width = widthOf();
  const x = to.x - Math.sign(to.x - from.x || 1) * (width / 2 + 9);
  const y = to.y;
  const classes = ["badge", plain ? "plain" : "", touches(edge, chosen) ? "near" : ""].join(" ");
  return html`<g class=${classes} transform="translate(${x.toFixed(1)} ${y.toFixed(1)})" aria-hidden="true">
    <rect x=${-width / 2} y="-10" width=${width} height="20" rx="10" />
    <text text-anchor="middle" y="4">${parts.map(([mood, words], i) => html`<tspan class="tone-${mood}" dx=${i ? 7 : 0}>${words}</tspan>`)}</text>
  </g>`;
}

function Node({ name, at, service, rules, chosen }) {
  if (!at) return null;
  const { width } = at;
  const left = at.x - width / 2;
  const top = at.y - NODE_HEIGHT / 2;
  const own = rules.filter((rule) => hitsNode(rule, name, homeOf));
  const inbound = service?.inbound;
  const classes = ["node", own.length ? "struck" : "", chosen === name ? "chosen" : "", service ? "" : "outside"].join(" ");
  const words = service ? nodeWords(service, own) : "Callers outside the mesh";
  return html`<a class=${classes} href=${service ? href("service", name) : href("edge", "external", "gateway")} data-service=${name}>
    <title>${words}</title>
    <rect class="body" x=${left} y=${top} width=${width} height=${NODE_HEIGHT} rx="11" />
    <rect class="stripe svc-${serviceHue(name)}" x=${left + 7} y=${top + 13} width="4" height=${NODE_HEIGHT - 26} rx="2" />
    <text class="name" x=${left + 18} y=${top + 25}>${service ? clip(name, width) : "callers"}</text>
    <text class="numbers" x=${left + 18} y=${top + 44}>${service ? html`${rate(inbound.rps)}/s · ${
      troubled(inbound) ? html`<tspan class="tone-${tone(inbound.success)}">${percent(inbound.success)}</tspan>` : `p99 ${millis(inbound.p99_ms)}`}` : "outside"}</text>
    ${service && service.instances.slice(0, 6).map((instance, i) => html`<circle key=${instance.name} class=${instance.connected ? "instance" : "instance down"}
      cx=${left + width - 12 - i * 11} cy=${top + (width < 150 ? 13 : 20)} r="4"><title>${instance.name}: ${instance.connected ? `${rate(instance.rps)}/s` : "its sidecar is not connected"}</title></circle>`)}
    ${own.length > 0 && html`<g class="bolt" transform="translate(${left + width / 2} ${top - 1})">
      <rect x=${-nodeBadge(own) / 2} y="-10" width=${nodeBadge(own)} height="20" rx="10" />
      <text text-anchor="middle" y="4">⚡${own.map(ruleShort).join(" ⚡")}</text></g>`}
  </a>`;
}

const troubled = (signals) => ["warn", "bad"].includes(tone(signals.success));
const nodeBadge = (own) => own.map(ruleShort).join(" ⚡").length * 6.9 + 28;
const clip = (name, width) => (name.length > width / 8.6 ? `${name.slice(0, Math.floor(width / 8.6) - 1)}…` : name);

function nodeWords(service, own) {
  const up = service.instances.filter((instance) => instance.connected).length;
  return `${service.name}: ${up} of ${service.instances.length} instances connected, ${rate(service.inbound.rps)} requests per second, `
    + `${percent(service.inbound.success)} success, p99 ${millis(service.inbound.p99_ms)}${own.length ? `, chaos: ${own.map((rule) => rule.id).join(", ")}` : ""}`;
}

const Legend = () => html`<p class="legend muted" aria-hidden="true">
  <span><i class="key ok"></i>≥ 99.5 %</span><span><i class="key warn"></i>≥ 95 %</span><span><i class="key bad"></i>below</span>
  <span><i class="key halo-key"></i>halo: attempts that failed before a retry</span>
  <span>⚡ faults</span><span>↻ retries</span><span class="hint">Click a service or a line.</span></p>`;
