// What one injected fault left on a span, in words. Pure functions.
import { NARROW, count, micros } from "./format.js";
import { shareOf } from "./rule.js";

const took = (fault) => fault.actual_ms ?? fault.planned_ms;
const time = (ms) => (ms == null ? "a while" : micros(1000 * Number(ms)));

const ANSWERS = {
  request_headers: () => "changed the request’s headers",
  delay: (fault) => `delayed it by ${time(took(fault))}`,
  refuse: () => "refused the connection",
  reset: () => "broke the connection",
  hang: (fault) => (fault.actual_ms == null ? "held it without an answer" : `held it for ${time(fault.actual_ms)} without an answer`),
  abort: (fault) => (fault.replaced_grpc_status != null ? `answered gRPC status ${fault.replaced_grpc_status}`
    : fault.replaced_status ? `answered ${fault.replaced_status}` : "aborted it"),
  response_headers: () => "changed the answer’s headers",
  chunk_delay: (fault) => (took(fault) == null ? "slowed the pieces of the answer" : `slowed the answer by ${time(took(fault))}`),
  throttle: (fault) => (took(fault) == null ? "throttled the answer" : `throttled the answer, ${time(took(fault))} longer`),
  corrupt: (fault) => (fault.bytes == null ? "corrupted the answer" : `changed ${bytes(fault.bytes)} of the answer`),
  truncate: (fault) => (fault.bytes == null ? "cut the answer off" : `cut the answer off after ${bytes(fault.bytes)}`),
};

const bytes = (number) => `${count(Number(number))} ${Number(number) === 1 ? "byte" : "bytes"}`;

/** One injected fault in words, naming the rule: `flaky-payments answered 503`. */
export function faultWords(fault) {
  const known = Object.hasOwn(ANSWERS, fault.fault);
  return `${fault.rule} ${known ? ANSWERS[fault.fault](fault) : `injected ${fault.fault ?? "a fault"}`}`;
}

const percent = (share) => `${Number((share * 100).toFixed(2))}${NARROW}%`;

/**
 * Why it struck and what it did, as `[name, words]`. The share is the one that was in force then;
 * where the fault does not tell it, that of `rule` as it is now.
 */
export function faultFacts(fault, rule = null) {
  const draw = fault.draw == null ? null : Number(fault.draw);
  const share = fault.share == null ? rule && shareOf(rule, fault.fault) : Number(Number(fault.share).toFixed(2));
  return [
    draw != null && ["drawn", `${percent(draw)}${share == null ? "" : `, below the rule’s share of ${share}${NARROW}%`}`],
    fault.seed != null && ["seed", String(fault.seed)],
    fault.planned_ms != null && ["planned", time(fault.planned_ms)],
    fault.actual_ms != null && ["really", `${time(fault.actual_ms)}${early(fault)}`],
    fault.replaced_status != null && ["status put in place", String(fault.replaced_status)],
    fault.replaced_grpc_status != null && ["gRPC status put in place", String(fault.replaced_grpc_status)],
    fault.bytes != null && ["bytes", count(Number(fault.bytes))],
    fault.fate != null && ["fate of trace", String(fault.fate)],
  ].filter(Boolean);
}

/** Somebody gave up, or the rule ended, before the pause was over. */
const early = (fault) => (fault.planned_ms != null && Number(fault.actual_ms) < Number(fault.planned_ms) * 0.95
  ? ", cut short: somebody gave up, or the rule ended" : "");
