// The command line that makes a rule. Pure functions.
import { faultsOf, headerChanges } from "./rule.js";

/** As a POSIX shell takes it: quoted where it must be. */
export const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? String(text) : `'${String(text).replaceAll("'", "'\\''")}'`);

/** `glassmesh chaos add 'orders -> payments' --abort 503 --percent 30 --for 2m`; `at` is the console, where it is not the usual one. */
export function command(rule, at = null) {
  const kinds = faultsOf(rule);
  const words = ["glassmesh", "chaos", "add", rule.where, "--id", rule.id,
    ...kinds.flatMap((kind) => FLAGS[kind](rule[kind])),
    ...(Number(rule.percent ?? 100) < 100 ? ["--percent", rule.percent] : []),
    ...Object.entries(rule.percent_of ?? {}).flatMap(([kind, share]) => ["--percent-of", `${kind.replaceAll("_", "-")}=${share}`]),
    ...matchFlags(rule.match ?? {}),
    ...(rule.arm === "baggage" ? ["--armed"] : []),
    ...(rule.position === "request" ? ["--position", "request"] : []),
    ...["first_attempts", "first_requests", "max_affected"].flatMap((key) => option(key, rule[key])),
    ...(rule.seed ? ["--seed", rule.seed] : []),
    ...option("for", rule.for),
    ...["after", "on", "off", "ramp"].flatMap((key) => option(key, rule.schedule?.[key])),
    ...(rule.guard ? ["--guard", `${rule.guard.watch}=${rule.guard.min_success}`, ...option("guard_min_requests", rule.guard.min_requests)] : []),
    ...(rule.description ? ["--description", rule.description] : []),
    ...(at ? ["--console", at] : []),
  ];
  return words.map((word) => quoted(String(word))).join(" ");
}

const option = (key, value) => (value == null ? [] : [`--${key.replaceAll("_", "-")}`, value]);

const FLAGS = {
  delay: (delay) => ["--delay", delay],
  chunk_delay: (delay) => ["--chunk-delay", delay],
  abort: abortFlags,
  refuse: () => ["--refuse"],
  reset: () => ["--reset"],
  hang: () => ["--hang"],
  throttle: (rate) => ["--throttle", rate],
  truncate: (after) => ["--truncate", after],
  corrupt: (each) => ["--corrupt", each],
  request_headers: (changes) => headerFlags(changes, "request"),
  response_headers: (changes) => headerFlags(changes, "response"),
};

function abortFlags(abort) {
  if (abort === null || typeof abort !== "object") return ["--abort", abort];
  const text = abort.body ?? abort.message;
  return ["--abort", abort.grpc != null ? `grpc:${abort.grpc}` : abort.status,
    ...(text != null ? ["--abort-body", text] : []), ...(abort.content_type ? ["--abort-type", abort.content_type] : [])];
}

const headerFlags = (changes, of) => headerChanges(changes).flatMap(([operation, name, value]) =>
  [`--${operation}-${of}-header`, operation === "remove" ? name : `${name}=${value}`]);

function matchFlags(match) {
  return [
    ...(match.methods?.length ? ["--method", match.methods.join(",")] : []),
    ...["path", "path_prefix", "path_template", "path_regex", "route"].flatMap((key) => option(key, match[key])),
    ...(match.headers ?? []).flatMap((field) => ["--header", condition(field)]),
    ...(match.callers ?? []).flatMap((name) => ["--caller", name]),
    ...(match.baggage ?? []).flatMap((field) => ["--baggage", condition(field)]),
  ];
}

const condition = ({ name, exact, prefix, regex, invert }) => `${invert ? "!" : ""}${name}${
  exact != null ? `=${exact}` : prefix != null ? `^=${prefix}` : regex != null ? `~=${regex}` : ""}`;
