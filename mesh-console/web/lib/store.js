// All that the page knows, in one object. The feed (feed.js) writes it, components
// read it with `useStore`; nothing else is shared.
import { useEffect, useState } from "./html.js";
import { record } from "./history.js";
import { parse } from "./route.js";

export const state = {
  /** `connecting`, `live`, `stale` (connected, but silent) or `gone`. */
  link: "connecting",
  overview: null,
  /** This computer's time of the newest overview. */
  overviewAt: 0,
  chaos: null,
  chaosAt: 0,
  activity: null,
  scenarios: null,
  scenariosAt: 0,
  route: parse(globalThis.location?.hash ?? ""),
  toasts: [],
  /** Of each rule changed here: milliseconds from the click until every sidecar held it. */
  receipts: {},
};

const listeners = new Set();

/** Changes the state and draws what depends on it. */
export function set(change) {
  Object.assign(state, change);
  for (const listener of listeners) listener();
}

/** The state, drawn anew at each change. */
export function useStore() {
  const [, draw] = useState(0);
  useEffect(() => {
    const listener = () => draw((number) => number + 1);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, []);
  return state;
}

export function setOverview(overview) {
  record(overview);
  set({ overview, overviewAt: Date.now(), link: "live" });
}

export function setChaos(chaos) {
  settleReceipt(chaos);
  set({ chaos, chaosAt: Date.now() });
}

export const setScenarios = (scenarios) => set({ scenarios, scenariosAt: Date.now() });

/** Does a mystery run whose faults are not to be told? */
export const hides = ({ scenarios }) => (scenarios ?? []).some((each) => each.running && each.mystery);

/** May faults of this rule be told? Those of a running mystery may not. */
export const told = (id) => !hides(state) || (state.chaos?.rules ?? []).some((entry) => entry.rule.id === id);

/** The service that an instance belongs to; any other name is its own. */
export const homeOf = (name) =>
  (state.overview?.services ?? []).find((service) => service.instances.some((instance) => instance.name === name))?.name ?? name;

let pending = null;

/** Starts the clock of a change made on this page; tells the milliseconds until every sidecar held it. */
export function changeStarted(rule) {
  const { promise, resolve: done } = withResolvers();
  pending = { rule, from: performance.now(), revision: state.chaos?.revision ?? 0, done };
  return promise;
}

/** `Promise.withResolvers`, which browsers of 2023 do not have. */
function withResolvers() {
  let resolve;
  const promise = new Promise((done) => { resolve = done; });
  return { promise, resolve };
}

function settleReceipt(chaos) {
  const everywhere = chaos.revision > (pending?.revision ?? Infinity)
    && chaos.sidecars > 0 && chaos.acknowledged >= chaos.sidecars;
  if (!everywhere) return;
  const took = performance.now() - pending.from;
  state.receipts = { ...state.receipts, [pending.rule]: took };
  pending.done(took);
  pending = null;
}

/** Newest first; the stream and the first list may both tell of the same thing. */
export function addActivity(entry) {
  const entries = [...(Array.isArray(entry) ? entry : [entry]), ...(state.activity ?? [])];
  const once = new Map(entries.map((each) => [`${each.at_ms} ${each.text}`, each]));
  set({ activity: [...once.values()].sort((a, b) => b.at_ms - a.at_ms).slice(0, ACTIVITY_KEPT) });
}

const ACTIVITY_KEPT = 100;

let toastId = 0;

/** Says something for a while: `{text, tone, action: {label, run}}`. */
export function toast(message, ms = 8000) {
  const id = ++toastId;
  set({ toasts: [...state.toasts.slice(-2), { id, ...message }] });
  setTimeout(() => dismiss(id), ms);
  return id;
}

export const dismiss = (id) => set({ toasts: state.toasts.filter((entry) => entry.id !== id) });
