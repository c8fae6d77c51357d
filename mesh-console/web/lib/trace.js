// From the Jaeger form of a trace to what the waterfall draws. Pure functions.

/**
 * `{id, rows, start, end, services, root, faults, retries}`; rows are spans in tree
 * order with `depth`, `children`, `below`, `faults`, `attempt` and `pause` (the wait before a retry).
 * Times are microseconds since the Unix epoch. Faults of rules that `told` says no to are left out.
 */
export function readTrace(data, told = () => true) {
  const spans = (data?.spans ?? []).map((span) => readSpan(span, data.processes ?? {}, told));
  const byId = new Map(spans.map((span) => [span.id, span]));
  const roots = [];
  for (const span of spans) {
    span.parent = byId.get(span.parentId) ?? null;
    (span.parent?.children ?? roots).push(span);
  }
  const byTime = (a, b) => a.start - b.start || a.end - b.end;
  roots.sort(byTime);
  for (const span of spans) span.children.sort(byTime);
  for (const span of spans) markPauses(span);
  const rows = inOrder(roots);
  return {
    id: data?.traceID ?? "",
    rows,
    byId,
    root: roots[0] ?? null,
    start: spans.reduce((least, span) => Math.min(least, span.start), Infinity),
    end: spans.reduce((most, span) => Math.max(most, span.end), 0),
    services: [...new Set(rows.map((span) => span.service))],
    faults: [...new Set(rows.flatMap((span) => span.faults.map((fault) => fault.rule)))],
    retries: rows.filter((span) => span.attempt > 1).length,
  };
}

function readSpan(raw, processes, told) {
  const tags = Object.fromEntries((raw.tags ?? []).map((tag) => [tag.key, tag.value]));
  const process = processes[raw.processID] ?? {};
  const resource = Object.fromEntries((process.tags ?? []).map((tag) => [tag.key, tag.value]));
  const references = raw.references ?? [];
  const parent = references.find((each) => each.refType === "CHILD_OF" && each.traceID === raw.traceID);
  const events = (raw.logs ?? []).map(readEvent).sort((a, b) => a.at - b.at)
    .filter((event) => event.name !== "mesh.fault" || told(event.fields.rule));
  const scope = tags["otel.scope.name"] ?? tags["otel.library.name"] ?? "";
  return {
    id: raw.spanID,
    parentId: parent?.spanID ?? null,
    links: references.filter((each) => each !== parent),
    name: raw.operationName,
    service: process.serviceName ?? "unknown",
    instance: resource["mesh.instance"] ?? tags["mesh.instance"] ?? null,
    sidecar: scope === "mesh-proxy" || resource["mesh.component"] === "sidecar",
    scope,
    start: raw.startTime,
    end: raw.startTime + raw.duration,
    duration: raw.duration,
    tags,
    resource,
    events,
    faults: events.filter((event) => event.name === "mesh.fault").map((event) => event.fields),
    attempt: Number(tags["mesh.attempt"] ?? 0),
    status: tags["http.response.status_code"] ?? null,
    error: tags.error === true || tags.error === "true" || tags["otel.status_code"] === "ERROR",
    children: [],
    depth: 0,
    pause: null,
  };
}

function readEvent(log) {
  const fields = Object.fromEntries((log.fields ?? []).map((field) => [field.key, field.value]));
  const { event, name, ...rest } = fields;
  return { at: log.timestamp, name: String(event ?? name ?? "event"), fields: rest };
}

function markPauses(span) {
  const attempts = span.children.filter((child) => child.attempt > 0);
  attempts.forEach((attempt, i) => {
    const before = attempts[i - 1];
    if (before && attempt.start > before.end) attempt.pause = { from: before.end, to: attempt.start };
  });
}

/** Parents before children; `below` counts a span's descendants. No recursion: a trace may be deep. */
function inOrder(roots) {
  const rows = [];
  const waiting = [...roots].reverse();
  while (waiting.length) {
    const span = waiting.pop();
    span.depth = span.parent ? span.parent.depth + 1 : 0;
    rows.push(span);
    for (let i = span.children.length - 1; i >= 0; i--) waiting.push(span.children[i]);
  }
  for (const span of [...rows].reverse()) {
    span.below = span.children.reduce((sum, child) => sum + 1 + child.below, 0);
  }
  return rows;
}

/** Faults that struck this attempt: its own, and those of the callee's sidecar before its application. */
export function faultsOf(attempt) {
  const found = [...attempt.faults];
  const look = (span) => {
    for (const child of span.children) {
      if (!child.sidecar) continue; // behind the application begins another call's story
      found.push(...child.faults);
      look(child);
    }
  };
  look(attempt);
  return found;
}

/** Is this span, or the call right below it, where a fault was put in? */
export const struck = (span) => span.faults.length > 0 || (span.attempt > 0 && faultsOf(span).length > 0);

/**
 * What the sidecars did, call by call: `{source, destination, span, attempts: [{span, number,
 * instance, status, faults, pause}], saved, broken, failed, reason}`. Calls in which all went well at
 * once are left out.
 */
export function story(trace) {
  const calls = trace.rows.filter((span) => span.sidecar && span.name.startsWith("outbound"));
  const told = calls.map(tellCall).filter((call) => call.attempts.length > 1 || call.faults.length || call.failed);
  return told.length ? told : trace.rows.filter((span) => span.faults.length).map(tellLone);
}

function tellCall(span) {
  const attempts = span.children.filter((child) => child.attempt > 0).map((attempt) => ({
    span: attempt,
    number: attempt.attempt,
    instance: calleeOf(attempt),
    status: attempt.status ?? attempt.tags["error.type"] ?? null,
    failed: attempt.error,
    faults: faultsOf(attempt),
    pause: attempt.pause,
  }));
  const faults = [...span.faults, ...attempts.flatMap((attempt) => attempt.faults)];
  return {
    span,
    source: span.tags["mesh.source"] ?? span.service,
    destination: span.tags["mesh.destination"] ?? span.name.replace(/^outbound /, ""),
    attempts,
    before: span.faults,
    faults,
    failed: span.error,
    saved: !span.error && attempts.some((attempt) => attempt.failed) && attempts.some((attempt) => !attempt.failed),
    // Its headers had gone on before it went wrong: nothing can be retried then.
    broken: !span.error && attempts.length > 0 && attempts.every((attempt) => attempt.failed),
    reason: span.tags["mesh.reason"] ?? null,
    refused: span.tags["mesh.retry_refused"] ?? null,
  };
}

/** A fault outside any outbound call, as one on the mesh's edge. */
function tellLone(span) {
  return {
    span, source: "external", destination: span.service, attempts: [], before: span.faults,
    faults: span.faults, failed: span.error, saved: false, reason: span.tags["mesh.reason"] ?? null, refused: null,
  };
}

function calleeOf(attempt) {
  const inbound = attempt.children.find((child) => child.sidecar);
  return inbound?.instance ?? attempt.tags["mesh.endpoint"] ?? null;
}

/** The service that a call reached: the first one below that is another. */
export function callee(span) {
  for (const child of span.children) {
    const found = child.service === span.service ? callee(child) : child.service;
    if (found) return found;
  }
  return null;
}

/** Calls in which nothing went wrong: folded at first where others did, so that trouble is in sight. */
export function calmCalls(trace) {
  const troubled = new Set();
  for (const span of trace.rows) {
    if (!span.error && !span.faults.length && span.attempt < 2) continue;
    for (let at = span; at && !troubled.has(at); at = at.parent) troubled.add(at);
  }
  if (!troubled.size) return [];
  return trace.rows.filter((span) => !span.sidecar && !troubled.has(span) && troubled.has(span.parent) && span.children.length);
}

/** Share of the picture that a folded silence takes. */
const FOLD = 0.035;

/**
 * A time axis on which silences (no span at work, as while an outbox waits) are folded when
 * they would squeeze the rest. Returns `{at: µs → 0…1, busy: µs that are not
 * folded, folds: [{from, to, left, right}]}`.
 */
export function axis(trace) {
  const total = Math.max(1, trace.end - trace.start);
  const silences = idle(trace).filter((gap) => gap.to - gap.from > total * 0.25);
  const silent = silences.reduce((sum, gap) => sum + gap.to - gap.from, 0);
  const busy = Math.max(1, total - silent);
  const room = 1 - silences.length * FOLD;
  const at = (time) => {
    let share = 0;
    let from = trace.start;
    for (const gap of silences) {
      if (time <= gap.from) break;
      share += ((gap.from - from) / busy) * room;
      if (time < gap.to) return share + ((time - gap.from) / (gap.to - gap.from)) * FOLD;
      share += FOLD;
      from = gap.to;
    }
    return Math.min(1, share + ((time - from) / busy) * room);
  };
  return { at, busy, folds: silences.map((gap) => ({ ...gap, left: at(gap.from), right: at(gap.to) })) };
}

function idle(trace) {
  const gaps = [];
  let reached = trace.start;
  for (const span of [...trace.rows].sort((a, b) => a.start - b.start)) {
    if (span.start > reached) gaps.push({ from: reached, to: span.start });
    reached = Math.max(reached, span.end);
  }
  return gaps;
}
