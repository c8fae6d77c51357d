// A chaos rule in words: where, what, into which requests. Pure functions.
import { NARROW, duration } from "./format.js";
import { delayShort, delayWords } from "./delay.js";

/** A rule's place: `{source, destination}` for an edge, `{service}` for a node or an instance. */
export function place(where) {
  const [source, destination] = String(where).split("->").map((part) => part.trim());
  return destination === undefined ? { service: source } : { source, destination };
}

/** `orders → payments` */
export const placeWords = (where) => String(where).replace(/\s*->\s*/, " → ");

/** Does the rule break calls of `source` to `destination`? `home` says which service an instance belongs to. */
export function hits(rule, source, destination, home = (name) => name) {
  const at = place(rule.where);
  return at.service ? home(at.service) === destination : at.source === source && at.destination === destination;
}

/** Does the rule break this service, or one instance of it, for all its callers? */
export function hitsNode(rule, service, home = (name) => name) {
  const at = place(rule.where);
  return Boolean(at.service) && home(at.service) === service;
}

/** Kinds of fault, in the order in which they strike, as the form calls them. */
export const KINDS = {
  request_headers: "request headers",
  delay: "delay",
  refuse: "refuse",
  reset: "reset",
  hang: "hang",
  abort: "error",
  response_headers: "answer headers",
  chunk_delay: "slow pieces",
  throttle: "throttle",
  corrupt: "corrupt",
  truncate: "cut off",
};

/** Kinds of fault that a rule has, in the order in which they strike. */
export const faultsOf = (rule) => Object.keys(KINDS).filter((kind) =>
  (kind.endsWith("_headers") ? headerChanges(rule[kind]).length > 0 : Boolean(rule[kind])));

/** Share of what matches that this kind strikes, 0 to 100. */
export const shareOf = (rule, kind) => Number(rule.percent_of?.[kind] ?? rule.percent ?? 100);

/** Each change of headers as `[operation, name, value]`. */
export const headerChanges = (changes) => [
  ...Object.entries(changes?.set ?? {}).map(([name, value]) => ["set", name, value]),
  ...Object.entries(changes?.add ?? {}).map(([name, value]) => ["add", name, value]),
  ...(changes?.remove ?? []).map((name) => ["remove", name, ""]),
];

const headersWords = (changes) => headerChanges(changes).map(([operation, name, value]) =>
  ({ set: `${name} is “${value}”`, add: `${name} also “${value}”`, remove: `without ${name}` })[operation]).join(", ");

/** `503`, `gRPC UNAVAILABLE`. */
export function abortWords(abort) {
  if (abort && typeof abort === "object") {
    const own = abort.body != null ? " with a body of its own" : abort.message != null ? ` (“${abort.message}”)` : "";
    return `${abort.grpc != null ? `gRPC ${abort.grpc}` : abort.status}${own}`;
  }
  return String(abort).replace(/^grpc:/, "gRPC ");
}

const PHRASES = {
  request_headers: (rule) => ["arrive", "arrives", `with changed headers (${headersWords(rule.request_headers)})`],
  delay: (rule) => ["wait", "waits", delayWords(rule.delay)],
  refuse: () => ["find", "finds", "nobody who takes the connection"],
  reset: () => ["lose", "loses", "the connection before there is an answer"],
  hang: () => ["get", "gets", "no answer until somebody gives up"],
  abort: (rule) => ["get", "gets", `${abortWords(rule.abort)} instead of an answer`],
  response_headers: (rule) => ["get", "gets", `an answer with changed headers (${headersWords(rule.response_headers)})`],
  chunk_delay: (rule) => ["wait", "waits", `${delayWords(rule.chunk_delay, "")} before each piece of the answer`],
  throttle: (rule) => ["get", "gets", `the answer at ${duration(rule.throttle)}`],
  corrupt: (rule) => ["get", "gets", `an answer with about one byte in each ${duration(rule.corrupt)} changed`],
  truncate: (rule) => ["get", "gets", `${duration(rule.truncate)} of the answer, then it breaks off`],
};

const phrase = (rule, kind, one) => {
  const [many, single, rest] = PHRASES[kind](rule);
  return `${one ? single : many} ${rest}`;
};

const percentWords = (share) => `${Number(share)}${NARROW}%`;

/** What a rule does, in one sentence. */
export function ruleWords(rule) {
  const kinds = faultsOf(rule);
  const end = rule.position === "request" ? "; retries cannot help." : ".";
  const shares = kinds.map((kind) => shareOf(rule, kind));
  if (!kinds.length) return `${capital(callsWords(rule, "Calls"))} meet no fault: the rule has none yet.`;
  if (shares.every((share) => share >= 100)) {
    return `Every ${callsWords(rule, "call")} ${kinds.map((kind) => phrase(rule, kind, true)).join(", then ")}${end}`;
  }
  if (kinds.length === 1) return `${percentWords(shares[0])} of ${callsWords(rule, "calls")} ${phrase(rule, kinds[0], false)}${end}`;
  const parts = kinds.map((kind, i) => `${percentWords(shares[i])} ${phrase(rule, kind, false)}`);
  return `Of ${callsWords(rule, "calls")}, ${parts.join(", ")}; each is drawn on its own${end}`;
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** `matching calls from orders to payments that ask for it` */
function callsWords(rule, noun) {
  const at = place(rule.where);
  const calls = at.service ? `to ${at.service}` : `from ${at.source} to ${at.destination}`;
  const matching = conditions(rule).length ? "matching " : "";
  const asked = rule.arm === "baggage" ? (noun === "call" ? " that asks for it" : " that ask for it") : "";
  return `${matching}${noun} ${calls}${asked}`;
}

const SHORT = {
  request_headers: () => "headers",
  delay: (rule) => delayShort(rule.delay, "+"),
  refuse: () => "refuse",
  reset: () => "reset",
  hang: () => "hang",
  abort: ({ abort }) => String(abort?.grpc ?? abort?.status ?? abort).replace(/^grpc:/, ""),
  response_headers: () => "headers",
  chunk_delay: (rule) => `${delayShort(rule.chunk_delay, "+")}/piece`,
  throttle: (rule) => rule.throttle,
  corrupt: () => "corrupt",
  truncate: (rule) => `cut ${rule.truncate}`,
};

/** What a rule does, short enough for a badge. */
export function ruleShort(rule) {
  const kinds = faultsOf(rule);
  const most = Math.max(...kinds.map((kind) => shareOf(rule, kind)), 0);
  const more = kinds.length > 2 ? ` +${kinds.length - 2}` : "";
  return `${most}% ${kinds.slice(0, 2).map((kind) => SHORT[kind](rule)).join(" ")}${more}`;
}

/** Conditions in words, one each; empty where the rule takes every request. */
export function conditions({ match = {} }) {
  return [
    match.methods?.length && match.methods.join(" or "),
    match.path != null && `path is ${match.path}`,
    match.path_prefix != null && `path under ${match.path_prefix}`,
    match.path_template != null && `path like ${match.path_template}`,
    match.path_regex != null && `path matches ${match.path_regex}`,
    match.route != null && `route ${match.route}`,
    match.callers?.length && `called by ${match.callers.join(" or ")}`,
    ...(match.headers ?? []).map((field) => fieldWords("header", field)),
    ...(match.baggage ?? []).map((field) => fieldWords("baggage", field)),
  ].filter(Boolean);
}

function fieldWords(what, { name, exact, prefix, regex, invert }) {
  const [yes, no, value] = exact != null ? ["is", "is not", ` “${exact}”`]
    : prefix != null ? ["starts with", "does not start with", ` “${prefix}”`]
    : regex != null ? ["matches", "does not match", ` ${regex}`]
    : ["is there", "is missing", ""];
  return `${what} ${name} ${invert ? no : yes}${value}`;
}

/** Bounds of a rule in words, one each. */
export const limits = (rule) => [
  rule.first_attempts != null && (Number(rule.first_attempts) === 1 ? "the first attempt of each request alone" : `the first ${rule.first_attempts} attempts of each request`),
  rule.first_requests != null && `the first ${rule.first_requests} at each sidecar`,
  rule.max_affected != null && `at most ${rule.max_affected} at the same time at each sidecar`,
].filter(Boolean);

/** `below 95 % success of gateway → orders it turns itself off (over 10 s, from 20 requests on)` */
export const guardWords = (guard) => `below ${percentWords(guard.min_success)} success ${
  place(guard.watch).service ? "at" : "of"} ${placeWords(guard.watch)} it turns itself off (over 10${NARROW}s, from ${guard.min_requests ?? 20} requests on)`;

/** What arms a rule for one request alone. */
export const armLine = (id, url) => `curl -H 'baggage: mesh.chaos=${id}' ${url ?? "http://127.0.0.1:4080"}/`;
