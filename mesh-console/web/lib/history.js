// The last minutes of the mesh, as this page saw them: one sample per overview.

/** Samples kept: five minutes of seconds. */
export const DEPTH = 300;

const series = new Map();

/** Keeps a sample of the whole and of each edge. */
export function record(overview) {
  push("", { at: overview.at_ms, ...summary(overview) });
  for (const edge of overview.edges) {
    push(edgeKey(edge.source, edge.destination), {
      at: overview.at_ms,
      rps: edge.requests.rps,
      success: edge.requests.success,
      before: edge.attempt_success,
      p50: edge.requests.p50_ms,
      p99: edge.requests.p99_ms,
      faults: edge.faults_per_second,
      retries: edge.retries_per_second,
    });
  }
}

function push(key, sample) {
  if (!series.has(key)) series.set(key, []);
  const samples = series.get(key);
  if (samples.at(-1)?.at === sample.at) return;
  samples.push(sample);
  if (samples.length > DEPTH) samples.shift();
}

/** Samples of an edge as the console kept them, in the form of those kept here. */
export const fromConsole = (history) => history.samples.map((each) => ({
  at: each.at_ms,
  rps: each.requests.rps,
  success: each.requests.success,
  before: each.attempt_success,
  p50: each.requests.p50_ms,
  p99: each.requests.p99_ms,
}));

/** Samples of an edge (`edgeKey`), or of the whole mesh (""), oldest first. */
export const samples = (key) => series.get(key) ?? [];

export const edgeKey = (source, destination) => `${source} -> ${destination}`;

/**
 * What callers outside the mesh see: the exposed services' incoming calls, or
 * what arrives at them while nobody outside was seen.
 */
export function summary(overview) {
  const outside = overview.edges.filter((edge) => edge.source === "external").map((edge) => edge.requests);
  const exposed = overview.services.filter((service) => service.exposed).map((service) => service.inbound);
  const signals = outside.some((each) => each.rps > 0) ? outside : exposed;
  const rps = signals.reduce((sum, each) => sum + each.rps, 0);
  const counted = signals.filter((each) => each.success != null && each.rps > 0);
  const weight = counted.reduce((sum, each) => sum + each.rps, 0);
  const success = weight ? counted.reduce((sum, each) => sum + each.success * each.rps, 0) / weight : null;
  const p99s = signals.map((each) => each.p99_ms).filter((ms) => ms != null);
  return { rps, success, p99: p99s.length ? Math.max(...p99s) : null };
}
