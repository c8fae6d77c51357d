// The page's pure modules on their own: words, numbers, layout, and the reading of a trace.
import assert from "node:assert/strict";
import { test } from "node:test";
import { countdown, parseDuration, percent, rate, tone } from "../../mesh-console/web/lib/format.js";
import { hits, ruleWords } from "../../mesh-console/web/lib/rule.js";
import { layout } from "../../mesh-console/web/lib/layout.js";
import { href, parse } from "../../mesh-console/web/lib/route.js";
import { axis, calmCalls, readTrace, story } from "../../mesh-console/web/lib/trace.js";

const plain = (text) => text.replace(/\u202f/g, " ");

test("a lost request is never rounded away", () => {
  assert.equal(plain(percent(1)), "100 %");
  assert.equal(plain(percent(0.99999)), "99.99 %");
  assert.equal(plain(percent(0.9969)), "99.6 %");
  assert.equal(percent(null), "–");
  assert.equal(rate(0.04), "<0.1");
  assert.equal(tone(0.9949), "warn");
  assert.equal(tone(null), "idle");
});

test("rules in words", () => {
  const rule = { where: "payments", percent: 30, abort: 503 };
  assert.equal(plain(ruleWords(rule)), "30 % of calls to payments get 503 instead of an answer.");
  const slow = { where: "orders -> inventory", percent: 100, delay: "400ms", position: "request" };
  assert.equal(plain(ruleWords(slow)), "Every call from orders to inventory waits 400 ms longer; retries cannot help.");
  assert.ok(hits(rule, "orders", "payments") && !hits(slow, "gateway", "inventory"));
});

test("durations as the console writes them", () => {
  assert.equal(parseDuration("10m"), 600000);
  assert.equal(parseDuration("1m 30s"), 90000);
  assert.equal(parseDuration("400ms"), 400);
  assert.equal(parseDuration("soon"), null);
  assert.equal(countdown(61000), "1:01");
});

test("links survive hostile names", () => {
  const name = "a/b#c %\u202e<script>";
  assert.deepEqual(parse(href("edge", name, "payments")), { view: "edge", args: [name, "payments"] });
  assert.deepEqual(parse("#/edge/%E0%A4%A/x").args, ["%E0%A4%A", "x"]);
});

const size = { width: 900, widthOf: () => 150, nodeHeight: 58, rowGap: 22 };
const edge = (source, destination) => ({ source, destination });

test("callers stand left of the called, and nothing overlaps", () => {
  const names = ["external", "gateway", "orders", "users", "payments"];
  const edges = [edge("external", "gateway"), edge("gateway", "orders"), edge("gateway", "users"),
    edge("orders", "users"), edge("orders", "payments"), edge("gateway", "payments")];
  const drawn = layout(names, edges, size);
  for (const { source, destination } of edges) {
    assert.ok(drawn.nodes.get(source).x < drawn.nodes.get(destination).x, `${source} → ${destination}`);
  }
  const places = [...drawn.nodes.values()];
  for (const a of places) {
    for (const b of places) assert.ok(a === b || Math.abs(a.x - b.x) >= 150 || Math.abs(a.y - b.y) >= 58);
    assert.ok(a.x >= 75 && a.x <= 825 && a.y >= 29 && a.y <= drawn.height - 29);
  }
  assert.deepEqual(layout([...names].reverse(), [...edges].reverse(), size).nodes.get("users"), drawn.nodes.get("users"));
});

test("cycles, loops, strangers and nothing at all can be drawn", () => {
  const drawn = layout(["a", "b", "c"], [edge("a", "b"), edge("b", "c"), edge("c", "a"), edge("a", "a"), edge("a", "ghost")], size);
  assert.equal(drawn.nodes.size, 3);
  assert.ok(drawn.edges.has("c -> a") && !drawn.edges.has("a -> a"));
  assert.equal(layout([], [], size).nodes.size, 0);
});

test("a hundred services are laid out at once", () => {
  const names = Array.from({ length: 100 }, (_, i) => `s${i}`);
  const edges = names.flatMap((name, i) => [1, 3, 7].filter((step) => i + step < 100).map((step) => edge(name, `s${i + step * 10 < 100 ? i + step * 10 : 99}`)));
  const started = performance.now();
  layout(names, edges, size);
  assert.ok(performance.now() - started < 1500);
});

/** An order whose first charge met a rule at payments' sidecar, and was saved. */
function retried() {
  const span = (spanID, parent, service, operationName, startTime, duration, tags = {}, logs = []) => ({
    traceID: "t", spanID, operationName, startTime, duration, processID: service,
    references: parent ? [{ refType: "CHILD_OF", traceID: "t", spanID: parent }] : [],
    tags: Object.entries(tags).map(([key, value]) => ({ key, value })), logs,
  });
  const mesh = { "otel.scope.name": "mesh-proxy" };
  const fault = { timestamp: 1130, fields: [{ key: "event", value: "mesh.fault" }, { key: "rule", value: "flaky" }, { key: "fault", value: "abort" }, { key: "replaced_status", value: 503 }] };
  return {
    traceID: "t",
    processes: { orders: { serviceName: "orders" }, payments: { serviceName: "payments", tags: [{ key: "mesh.instance", value: "payments-1" }] } },
    spans: [
      span("b2", "o", "orders", "attempt payments", 31000, 5000, { ...mesh, "mesh.attempt": 2, "http.response.status_code": 200 }),
      span("r", null, "orders", "POST /orders", 1000, 39000),
      span("u", "r", "orders", "GET", 1010, 50, { "span.kind": "client" }),
      span("u2", "u", "orders", "outbound users", 1020, 30, mesh),
      span("c", "r", "orders", "POST", 1090, 36000, { "span.kind": "client" }),
      span("o", "c", "orders", "outbound payments", 1100, 35000, { ...mesh, "mesh.source": "orders", "mesh.destination": "payments" }),
      span("b1", "o", "orders", "attempt payments", 1110, 900, { ...mesh, "mesh.attempt": 1, "http.response.status_code": 503, error: true }),
      span("i1", "b1", "payments", "inbound POST /payments", 1120, 100, { ...mesh, error: true }, [fault]),
      span("late", "r", "orders", "publish order.created", 540000, 2000),
    ],
  };
}

test("the story of a saved call names rule, pause and instance", () => {
  const trace = readTrace(retried());
  const [call, ...others] = story(trace);
  assert.equal(others.length, 0);
  assert.equal(`${call.source} ${call.destination} ${call.saved} ${call.failed}`, "orders payments true false");
  assert.deepEqual(call.attempts.map((each) => [each.number, each.failed, each.faults[0]?.rule]), [[1, true, "flaky"], [2, false, undefined]]);
  assert.equal(call.attempts[0].instance, "payments-1");
  assert.deepEqual(call.attempts[1].pause, { from: 2010, to: 31000 });
  assert.deepEqual(trace.faults, ["flaky"]);
  assert.deepEqual(trace.rows.map((row) => row.id), ["r", "u", "u2", "c", "o", "b1", "i1", "b2", "late"]);
});

test("calls without trouble are folded, troubled ones are not", () => {
  assert.deepEqual(calmCalls(readTrace(retried())).map((span) => span.id), ["u"]);
});

test("a long silence is folded, and time still runs forward", () => {
  const trace = readTrace(retried());
  const scale = axis(trace);
  assert.equal(scale.folds.length, 1);
  let last = -1;
  for (let time = trace.start; time <= trace.end; time += 1000) {
    const at = scale.at(time);
    assert.ok(at >= last && at <= 1);
    last = at;
  }
  assert.ok(scale.at(40000) > 0.85, "the busy part has the room");
});

test("spans without parents, and parents in a loop of links, do not break the reading", () => {
  const data = retried();
  data.spans = data.spans.filter((span) => span.spanID !== "c");
  assert.equal(readTrace(data).rows.length, 8);
  assert.equal(readTrace({ traceID: "x", spans: [], processes: {} }).rows.length, 0);
});
