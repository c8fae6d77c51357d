// The page's pure modules on their own: words, numbers, layout, and the reading of a trace.
import assert from "node:assert/strict";
import { test } from "node:test";
import { countdown, parseDuration, percent, rate, tone } from "../../mesh-console/web/lib/format.js";
import { command } from "../../mesh-console/web/lib/command.js";
import { density, densityWords, readDelay, writeDelay } from "../../mesh-console/web/lib/delay.js";
import { compose, problemsAt, shownKeys, start as startDraft } from "../../mesh-console/web/lib/draft.js";
import { faultFacts, faultWords } from "../../mesh-console/web/lib/fault.js";
import { receiptNotes, struckWords } from "../../mesh-console/web/lib/receipt.js";
import { conditions, faultsOf, guardWords, hits, hitsNode, ruleShort, ruleWords } from "../../mesh-console/web/lib/rule.js";
import { scheduleWords, share, stretch } from "../../mesh-console/web/lib/schedule.js";
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

test("an answer that broke off was not saved by a retry that never was", () => {
  const data = retried();
  data.spans = data.spans.filter((span) => span.spanID !== "b2");
  const [call] = story(readTrace(data));
  assert.equal(`${call.saved} ${call.broken}`, "false true");
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

test("every kind of fault has words, a badge and a flag", () => {
  const rule = {
    id: "everything", where: "orders -> payments", percent: 30, percent_of: { delay: 50 }, position: "request", arm: "baggage",
    match: { methods: ["POST"], path_template: "/payments/{id}", headers: [{ name: "x-user", exact: "ann", invert: true }], baggage: [{ name: "tester", prefix: "a" }] },
    delay: "normal:200ms:50ms", chunk_delay: "exponential:20ms", abort: { status: 503, body: "it's gone" }, reset: true, hang: true, refuse: true,
    throttle: "10KiB/s", truncate: "100B", corrupt: "64B", request_headers: { remove: ["x-a"] }, response_headers: { set: { "x-b": "c" } },
    first_attempts: 2, max_affected: 5, seed: 7, for: "2m", schedule: { after: "10s", on: "5s", off: "5s", ramp: "1m" },
    guard: { watch: "gateway -> orders", min_success: 95, min_requests: 20 },
  };
  assert.equal(faultsOf(rule).length, 11);
  const words = plain(ruleWords(rule));
  for (const part of ["Of matching calls from orders to payments that ask for it", "50 % wait about 200 ms longer (normal, ± 50 ms)",
    "30 % get 503 with a body of its own instead of an answer", "100 B of the answer, then it breaks off", "without x-a", "x-b is “c”",
    "at 10 KiB/s", "one byte in each 64 B", "drawn on its own; retries cannot help."]) assert.ok(words.includes(part), `${part}: ${words}`);
  assert.deepEqual(conditions(rule), ["POST", "path like /payments/{id}", "header x-user is not “ann”", "baggage tester starts with “a”"]);
  assert.equal(ruleShort(rule), "50% headers ~200ms +9");
  assert.equal(plain(guardWords(rule.guard)), "below 95 % success of gateway → orders it turns itself off (over 10 s, from 20 requests on)");
  assert.equal(plain(scheduleWords(rule.schedule)), "quiet for 10 s, then 5 s on and 5 s off, again and again, rising to its full share over 1 m");
  const line = command(rule, "http://127.0.0.1:9");
  for (const part of ["add 'orders -> payments'", "--delay normal:200ms:50ms", "--chunk-delay exponential:20ms", `--abort 503 --abort-body 'it'\\''s gone'`,
    "--reset --hang", "--remove-request-header x-a", "--set-response-header x-b=c", "--percent 30 --percent-of delay=50", "--method POST",
    "--path-template '/payments/{id}'", "--header '!x-user=ann'", "--baggage 'tester^=a'", "--armed --position request", "--first-attempts 2 --max-affected 5",
    "--seed 7 --for 2m --after 10s --on 5s --off 5s --ramp 1m", "--guard 'gateway -> orders=95' --guard-min-requests 20", "--console http://127.0.0.1:9"]) {
    assert.ok(line.includes(part), `${part}: ${line}`);
  }
  // What the form reads it writes again.
  assert.deepEqual(compose(startDraft(rule), rule, []), { description: "", ...rule });
});

test("a rule of one instance strikes its service's node and edges", () => {
  const home = (name) => ({ "payments-2": "payments" })[name] ?? name;
  const rule = { where: "payments-2", hang: true };
  assert.ok(hits(rule, "orders", "payments", home) && hitsNode(rule, "payments", home) && !hitsNode(rule, "orders", home));
  assert.equal(plain(ruleWords(rule)), "Every call to payments-2 gets no answer until somebody gives up.");
});

test("a form says what it leaves out, and numbers that are none reach the console", () => {
  const fields = { ...startDraft({ where: "payments" }), percent: "many", delay: { kind: "normal", parts: ["200", "50"] }, kinds: ["delay"] };
  const rule = compose(fields, {}, ["slow-payments"]);
  assert.deepEqual(rule, { id: "slow-payments-2", description: "", where: "payments", percent: "many", position: "attempt", seed: 0, for: "10m", delay: "normal:200ms:50ms" });
  assert.equal(compose({ ...fields, kinds: ["abort"], abort: { ...fields.abort, grpc: true } }, {}, []).abort, "grpc:UNAVAILABLE");
  const problems = [{ key: "match.headers[0].regex", message: "no" }, { key: "percentage", message: "no" }];
  assert.equal(problemsAt(problems, "match.headers").length, 1);
  assert.equal(problemsAt(problems, "percent").length, 0);
  assert.ok(!shownKeys(fields).includes("throttle"), "a problem of a fault that is not shown stands in the list");
});

test("densities hold their distribution, and what is none is not drawn", () => {
  const drawn = (text) => density(readDelay(text));
  const area = ({ points, end }) => points.reduce((sum, [x, y]) => ({ all: sum.all + y, mean: sum.mean + x * end * y }), { all: 0, mean: 0 });
  for (const [text, mean] of [["uniform:100ms:300ms", 200], ["normal:200ms:50ms", 200], ["fixed:1s", 1000]]) {
    const sum = area(drawn(text));
    assert.ok(Math.abs(sum.mean / sum.all - mean) < mean * 0.05, text);
  }
  assert.ok(Math.abs(drawn("exponential:100ms").half - 69.3) < 0.1);
  assert.ok(Math.abs(drawn("pareto:100ms:1.5").half - 158.7) < 0.1);
  assert.equal(plain(densityWords(drawn("normal:200ms:50ms"), "normal")), "half wait less than 200 ms, one in a hundred more than 316 ms");
  for (const text of ["soon", "uniform:3s:1s", "normal:1s", "pareto:1s:x", ""]) assert.equal(drawn(text), null, text);
  assert.equal(writeDelay({ kind: "pareto", parts: ["100", "1.5"] }), "pareto:100ms:1.5");
});

test("a schedule waits, cycles and ramps as the sidecars do", () => {
  const schedule = { after: "10s", on: "5s", off: "15s", ramp: "40s" };
  for (const [seconds, wanted] of [[0, 0], [9, 0], [14, 0.1], [15, 0], [30, 0.5], [50, 1], [55, 0]]) assert.equal(share(schedule, seconds * 1000), wanted, `${seconds} s`);
  assert.equal(share(undefined, 0), 1);
  const { from, to, now } = stretch(schedule, 600000, 300000);
  assert.ok(from < 300000 && to > 300000 && now > 0 && now < 1);
});

test("receipts in words", () => {
  const entry = (receipt, rule = {}) => ({ rule: { where: "orders -> payments", ...rule }, receipt });
  assert.equal(struckWords(entry({ seen: 214, matched: 214, struck: 41 })), "struck 41 of 214 attempts");
  assert.equal(struckWords(entry({ seen: 214, matched: 60, struck: 41 }, { where: "payments" })), "struck 41 of 60 that matched, 214 requests came by");
  assert.equal(struckWords(entry({}, { position: "request" })), "no request came by yet");
  assert.deepEqual(receiptNotes(entry({ last_ms: 8000, held: 3, spared: 2 }), 10000), [["last 2 s ago", ""], ["holds 3 now", "bad"], ["spared 2 beyond its bounds", "warn"]]);
});

test("faults in words: what was done, why it struck, and what became of it", () => {
  assert.equal(plain(faultWords({ rule: "r", fault: "delay", planned_ms: 400, actual_ms: 120 })), "r delayed it by 120 ms");
  assert.equal(faultWords({ rule: "r", fault: "truncate", bytes: 1 }), "r cut the answer off after 1 byte");
  assert.equal(faultWords({ rule: "r", fault: "abort", replaced_grpc_status: 14 }), "r answered gRPC status 14");
  assert.equal(faultWords({ rule: "r", fault: "constructor" }), "r injected constructor", "names of objects are no kinds");
  const facts = faultFacts({ rule: "r", fault: "delay", seed: 7, draw: 0.124, planned_ms: 400, actual_ms: 120, fate: "ab" }, { percent: 30 });
  assert.deepEqual(facts.map(([name, words]) => `${name}: ${plain(words)}`), ["drawn: 12.4 %, below the rule’s share of 30 %", "seed: 7", "planned: 400 ms",
    "really: 120 ms, cut short: somebody gave up, or the rule ended", "fate of trace: ab"]);
  const ramped = faultFacts({ rule: "r", fault: "delay", draw: "0.124", share: "15.0004" }, { percent: 30 });
  assert.equal(plain(ramped[0][1]), "12.4 %, below the rule’s share of 15 %", "that of the moment");
});

test("what a mystery did is left out until it may be told", () => {
  assert.deepEqual(readTrace(retried(), (id) => id !== "flaky").faults, []);
  assert.deepEqual(readTrace(retried()).faults, ["flaky"]);
});
