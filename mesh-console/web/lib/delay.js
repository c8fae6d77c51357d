// Pauses as rules write them: read, said in words, and drawn as a density. Pure functions.
import { NARROW, duration, millis, parseDuration } from "./format.js";

/** Kinds of pause: how they are called, and what each asks for. */
export const DELAYS = {
  fixed: { name: "always the same", parts: [["time", "400ms"]] },
  uniform: { name: "evenly spread", parts: [["from", "100ms"], ["to", "300ms"]] },
  normal: { name: "around a mean (normal)", parts: [["mean", "200ms"], ["deviation", "50ms"]] },
  exponential: { name: "mostly short (exponential)", parts: [["mean", "200ms"]] },
  pareto: { name: "heavy tail (Pareto)", parts: [["shortest", "100ms"], ["shape", "1.5"]] },
};

/** Longest pause that is ever drawn, milliseconds. */
const LONGEST = 3600000;

/** `normal:200ms:50ms` → `{kind: "normal", parts: ["200ms", "50ms"]}`. */
export function readDelay(text) {
  const [kind, ...parts] = String(text ?? "").split(":").map((part) => part.trim());
  if (kind in DELAYS) return { kind, parts };
  return { kind: "fixed", parts: [kind] };
}

/** The other way round; a number without a unit counts milliseconds. */
export function writeDelay({ kind, parts }) {
  const units = parts.slice(0, DELAYS[kind].parts.length).map((part, i) =>
    (DELAYS[kind].parts[i][0] !== "shape" && /^\d+(\.\d+)?$/.test(part.trim()) ? `${part.trim()}ms` : part.trim()));
  return kind === "fixed" ? units[0] ?? "" : [kind, ...units].join(":");
}

/** `about 200 ms longer (normal, ± 50 ms)` */
export function delayWords(text, more = " longer") {
  const { kind, parts: [a, b] } = readDelay(text);
  const [first, second] = [a, b].map((part) => duration(part ?? "?"));
  return {
    fixed: `${first}${more}`,
    uniform: `${first} to ${second}${more}`,
    normal: `about ${first}${more} (normal, ±${NARROW}${second})`,
    exponential: `${first}${more} on average (exponential)`,
    pareto: `at least ${first}${more} (Pareto, shape ${second})`,
  }[kind];
}

/** Short enough for a badge: `~200ms`. */
export function delayShort(text, sign = "") {
  const { kind, parts: [a, b] } = readDelay(text);
  return kind === "fixed" ? `${sign}${a}` : kind === "uniform" ? `${a}–${b}` : kind === "pareto" ? `≥${a}` : `~${a}`;
}

/** Numbers of a pause in milliseconds; null while they make no distribution. */
function numbers({ kind, parts }) {
  const read = (part, i) => (DELAYS[kind].parts[i][0] === "shape" ? Number(part) : parseDuration(/^[\d.]+$/.test(part) ? `${part}ms` : part));
  const values = DELAYS[kind].parts.map((_, i) => read(parts[i] ?? "", i));
  const fine = values.every((value) => Number.isFinite(value) && value > 0) && !(kind === "uniform" && values[1] < values[0]);
  return fine ? values : null;
}

/** Quantile of the distribution, milliseconds. */
function quantile(kind, [a, b], share) {
  return Math.min(LONGEST, {
    fixed: () => a,
    uniform: () => a + (b - a) * share,
    normal: () => Math.max(0, a + b * NORMAL[share]),
    exponential: () => -a * Math.log(1 - share),
    pareto: () => a * (1 - share) ** (-1 / b),
  }[kind]());
}

const NORMAL = { 0.5: 0, 0.95: 1.645, 0.99: 2.326 };

const DENSITY = {
  uniform: ([a, b], x) => (x >= a && x <= b ? 1 : 0),
  normal: ([a, b], x) => Math.exp(-((x - a) ** 2) / (2 * b * b)),
  exponential: ([a], x) => Math.exp(-x / a),
  pareto: ([a, b], x) => (x < a ? 0 : (a / x) ** (b + 1)),
};

const STEPS = 96;

/**
 * What the preview draws: `{end, points: [[0…1 of `end`, 0…1 of the peak]], half, most}`, times in
 * milliseconds: the axis' end, the median and the 99th percentile. Null while nothing can be drawn.
 */
export function density(delay) {
  const values = numbers(delay);
  if (!values) return null;
  const { kind } = delay;
  const [half, most] = [quantile(kind, values, 0.5), quantile(kind, values, 0.99)];
  const end = { fixed: values[0] * 2, pareto: Math.min(most, values[0] * 12) }[kind] ?? most * 1.25;
  const at = kind === "fixed" ? spike : (x) => DENSITY[kind](values, x * end);
  const points = Array.from({ length: STEPS + 1 }, (_, i) => [i / STEPS, at(i / STEPS)]);
  return { end, half, most, points };
}

const spike = (x) => (Math.abs(x - 0.5) < 0.006 ? 1 : 0);

/** `half wait less than 200 ms, one in a hundred more than 316 ms` */
export function densityWords(drawn, kind) {
  if (kind === "fixed") return `all wait ${millis(drawn.half)}`;
  return `half wait less than ${millis(drawn.half)}, one in a hundred more than ${millis(drawn.most)}`;
}
