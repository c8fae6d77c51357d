// Between a rule and the fields of its form. Pure functions.
import { DELAYS, readDelay, writeDelay } from "./delay.js";
import { faultsOf, headerChanges, place } from "./rule.js";

/** What a kind of fault begins with when it is chosen. */
const FIRST = {
  delay: { kind: "fixed", parts: ["400ms"] },
  chunk_delay: { kind: "fixed", parts: ["50ms"] },
  abort: { grpc: false, status: "503", code: "UNAVAILABLE", own: false, text: "", type: "" },
  throttle: "10KiB/s",
  truncate: "100B",
  corrupt: "64B",
};

export const PATHS = { "": "any", path: "is", path_prefix: "under", path_template: "like", path_regex: "matches" };
export const OPERATORS = { exact: "is", prefix: "starts with", regex: "matches", "": "is there" };
const FLAGS = ["refuse", "reset", "hang"];
const NUMBERS = ["first_attempts", "first_requests", "max_affected"];
const TIMES = ["after", "on", "off", "ramp"];

/** Fields for a rule, or for some of its keys. */
export function start(draft) {
  const match = draft.match ?? {};
  const kinds = faultsOf(draft);
  const path = Object.keys(PATHS).find((key) => key && match[key] != null) ?? "";
  return {
    where: draft.where ?? "",
    kinds: kinds.length ? kinds : ["abort"],
    delay: draft.delay ? readDelay(draft.delay) : FIRST.delay,
    chunk_delay: draft.chunk_delay ? readDelay(draft.chunk_delay) : FIRST.chunk_delay,
    abort: readAbort(draft.abort),
    throttle: draft.throttle ?? FIRST.throttle,
    truncate: draft.truncate ?? FIRST.truncate,
    corrupt: draft.corrupt ?? FIRST.corrupt,
    request_headers: readChanges(draft.request_headers),
    response_headers: readChanges(draft.response_headers),
    percent: String(draft.percent ?? (draft.id ? 100 : 30)),
    percentOf: Object.fromEntries(Object.entries(draft.percent_of ?? {}).map(([kind, share]) => [kind, String(share)])),
    methods: match.methods ?? [],
    pathKind: path,
    path: path ? match[path] : "",
    route: match.route ?? "",
    callers: (match.callers ?? []).join(", "),
    headers: (match.headers ?? []).map(readField),
    baggage: (match.baggage ?? []).map(readField),
    armed: draft.arm === "baggage",
    position: draft.position ?? "attempt",
    ...Object.fromEntries(NUMBERS.map((key) => [key, draft[key] == null ? "" : String(draft[key])])),
    schedule: Object.fromEntries(TIMES.map((key) => [key, draft.schedule?.[key] ?? ""])),
    guard: { watch: draft.guard?.watch ?? "", min_success: String(draft.guard?.min_success ?? 95), min_requests: String(draft.guard?.min_requests ?? 20) },
    seed: draft.seed ? String(draft.seed) : "",
    ttl: draft.for ?? "10m",
    id: draft.id ?? "",
    description: draft.description ?? "",
  };
}

function readAbort(abort) {
  if (abort == null) return FIRST.abort;
  const long = typeof abort === "object" ? abort : /^grpc:/.test(abort) ? { grpc: abort.slice(5) } : { status: abort };
  return {
    grpc: long.grpc != null,
    status: String(long.status ?? FIRST.abort.status),
    code: String(long.grpc ?? FIRST.abort.code),
    own: long.body != null || long.message != null,
    text: long.body ?? long.message ?? "",
    type: long.content_type ?? "",
  };
}

const readChanges = (changes) => {
  const read = headerChanges(changes).map(([operation, name, value]) => ({ operation, name, value }));
  return read.length ? read : [{ operation: "set", name: "", value: "" }];
};

const readField = (field) => {
  const operator = ["exact", "prefix", "regex"].find((key) => field[key] != null) ?? "";
  return { name: field.name, operator, value: field[operator] ?? "", invert: Boolean(field.invert) };
};

/** A number where it is one; else the text, about which the console has something to say. */
const number = (text) => (String(text).trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text);

/** The rule as the console takes it; `taken` are ids that are in use. */
export function compose(fields, draft, taken) {
  const at = place(fields.where);
  const has = (kind) => fields.kinds.includes(kind);
  const rule = {
    id: fields.id || draft.id || suggestId(fields, at, taken),
    description: fields.description,
    where: fields.where,
    percent: number(fields.percent),
    position: at.service ? "attempt" : fields.position,
    seed: fields.seed === "" ? 0 : number(fields.seed),
    for: fields.ttl,
  };
  for (const kind of ["delay", "chunk_delay"]) if (has(kind)) rule[kind] = writeDelay(fields[kind]);
  if (has("abort")) rule.abort = writeAbort(fields.abort);
  for (const kind of FLAGS) if (has(kind)) rule[kind] = true;
  for (const kind of ["throttle", "truncate", "corrupt"]) if (has(kind)) rule[kind] = fields[kind].trim();
  for (const kind of ["request_headers", "response_headers"]) if (has(kind)) rule[kind] = writeChanges(fields[kind]);
  const shares = Object.entries(fields.percentOf).filter(([kind, share]) => has(kind) && share !== "");
  if (fields.kinds.length > 1 && shares.length) rule.percent_of = Object.fromEntries(shares.map(([kind, share]) => [kind, number(share)]));
  if (fields.armed) rule.arm = "baggage";
  for (const key of NUMBERS) if (fields[key] !== "") rule[key] = number(fields[key]);
  const match = writeMatch(fields, at);
  if (Object.keys(match).length) rule.match = match;
  const schedule = Object.fromEntries(Object.entries(fields.schedule).filter(([, time]) => time.trim()));
  if (Object.keys(schedule).length) rule.schedule = schedule;
  if (fields.guard.watch) rule.guard = { watch: fields.guard.watch, min_success: number(fields.guard.min_success), min_requests: number(fields.guard.min_requests) };
  return rule;
}

function writeAbort({ grpc, status, code, own, text, type }) {
  if (!own) return grpc ? `grpc:${code}` : number(status);
  if (grpc) return { grpc: code, message: text };
  return { status: number(status), body: text, ...(type.trim() ? { content_type: type.trim() } : {}) };
}

function writeChanges(list) {
  const changes = {};
  for (const { operation, name, value } of list) {
    if (operation === "remove") (changes.remove ??= []).push(name.trim());
    else (changes[operation] ??= {})[name.trim()] = value;
  }
  return changes;
}

function writeMatch(fields, at) {
  const match = {};
  if (fields.methods.length) match.methods = fields.methods;
  if (fields.pathKind && fields.path !== "") match[fields.pathKind] = fields.path;
  if (fields.route.trim() && !at.service) match.route = fields.route.trim();
  const callers = fields.callers.split(",").map((name) => name.trim()).filter(Boolean);
  if (callers.length && at.service) match.callers = callers;
  for (const what of ["headers", "baggage"]) {
    const list = fields[what].map(writeField);
    if (list.length) match[what] = list;
  }
  return match;
}

const writeField = ({ name, operator, value, invert }) => ({
  name: name.trim(), ...(operator ? { [operator]: value } : {}), ...(invert ? { invert: true } : {}),
});

const VERBS = { delay: "slow", abort: "flaky", reset: "flaky", refuse: "refused", hang: "hanging", throttle: "throttled", truncate: "cut", corrupt: "garbled", chunk_delay: "dripping" };

/** `slow-orders-inventory`, and a number where that is taken. */
function suggestId(fields, at, taken) {
  const [first, ...more] = fields.kinds;
  const dead = first === "abort" && Number(fields.percent) >= 100;
  const verb = more.length ? "bad" : dead ? "dead" : VERBS[first] ?? "odd";
  const base = [verb, at.source, at.service ?? at.destination].filter(Boolean).join("-")
    .toLowerCase().replace(/[^a-z0-9-]/g, "-").slice(0, 56);
  let id = base;
  for (let next = 2; taken.includes(id); next++) id = `${base}-${next}`;
  return id;
}

/** Problems of the console for a field: those of its key and of what lies below. */
export const problemsAt = (problems, key) => (problems ?? []).filter((each) =>
  each.key === key || each.key.startsWith(`${key}.`) || each.key.startsWith(`${key}[`));

/** Keys that the form shows problems at, for these fields. */
export function shownKeys(fields) {
  return ["where", "percent", "for", "id", "description", "match", "arm", "position", "schedule", "guard", "seed",
    ...NUMBERS, ...fields.kinds, ...(fields.kinds.length > 1 ? ["percent_of"] : [])];
}

/** Each kind of delay keeps what was typed, as far as it fits. */
export const changeKind = (delay, kind) => ({
  kind, parts: DELAYS[kind].parts.map(([, first], i) => (i === 0 && delay.parts[0] && kind !== "uniform" ? delay.parts[0] : first)),
});
