// What people do to the mesh, with the way back.
import { api } from "./api.js";
import { millis } from "./format.js";
import { changeStarted, set, setChaos, setScenarios, state, toast } from "./store.js";
import { go } from "./route.js";

/** Runs a write; a refusal is said, never swallowed. Returns whether it was taken. */
async function attempt(what, write, rule = null, timed = true) {
  if (timed) changeStarted(rule);
  try {
    await write();
    await refresh();
    return true;
  } catch (error) {
    const details = error.problems?.map((problem) => `${problem.key}: ${problem.message}`).join("; ");
    toast({ tone: "bad", text: `${what} failed. ${details || error.message}` }, 12000);
    return false;
  }
}

/** The stream says it too; this answers the click also where the stream is late. */
async function refresh() {
  setChaos(await api.chaos());
  if (state.scenarios) setScenarios(await api.scenarios());
}

export const toggleRule = (id, enabled) =>
  attempt(`Turning ${id} ${enabled ? "on" : "off"}`, () => api.toggleRule(id, enabled), id);

/** Adds a rule, or replaces the one of the same id; throws what the console refuses. */
export async function saveRule(rule) {
  changeStarted(rule.id);
  const made = await api.putRule(rule);
  await refresh();
  return made;
}

export async function deleteRule(rule) {
  if (!await attempt(`Removing ${rule.id}`, () => api.deleteRule(rule.id))) return;
  toast({
    text: `Rule ${rule.id} is removed.`,
    action: { label: "Undo", key: "u", run: () => attempt(`Bringing ${rule.id} back`, () => api.putRule(fresh(rule))) },
  });
}

/** The rule as a person would write it: its end is the console's to set. */
export const fresh = ({ expires_at_ms: _end, ...rule }) => rule;

/** How long a halt waits for the last sidecar before it says what it knows. */
const PATIENCE_MS = 3000;

/** Turns every rule off, everywhere; what was on can be brought back. */
export async function halt() {
  const on = (state.chaos?.rules ?? []).filter((entry) => entry.rule.enabled);
  const running = (state.scenarios ?? []).filter((each) => each.running);
  const everywhere = changeStarted(null);
  if (!await attempt("Halt all", api.halt, null, false)) return;
  if (!on.length && !running.length) return void toast({ text: "No rule was in force; nothing had to be halted." }, 4000);
  const took = await Promise.race([everywhere, new Promise((done) => setTimeout(done, PATIENCE_MS, null))]);
  const { acknowledged = 0, sidecars = 0 } = state.chaos ?? {};
  toast({
    tone: took == null ? "warn" : "ok",
    text: `Chaos halted: ${haltedWords(on, running)}. ${took == null
      ? `Only ${acknowledged} of ${sidecars} sidecars have said so yet.` : `${acknowledged}/${sidecars} sidecars after ${millis(Math.max(1, took))}.`}`,
    action: { label: "Undo", key: "u", run: () => attempt("Undo", () => bringBack(on, running)) },
  }, 15000);
}

function haltedWords(on, running) {
  const ids = on.filter((entry) => !entry.scenario).map((entry) => entry.rule.id);
  return [
    ids.length && `${ids.join(", ")} ${ids.length === 1 ? "is" : "are"} off`,
    running.length && `the scenario ${running.map((each) => `“${each.title}”`).join(", ")} is stopped`,
    !ids.length && !running.length && "every rule is off",
  ].filter(Boolean).join(", ");
}

/** Rules of a scenario come back with it, by its seed. */
async function bringBack(on, running) {
  for (const entry of on) if (!entry.scenario) await api.toggleRule(entry.rule.id, true);
  for (const { id, seed } of running) await api.startScenario(id, seed == null ? {} : { seed });
}

/** Starts a scenario, with a seed where one is given; the way back is its stop. */
export async function startScenario(scenario, seed) {
  const start = seed ? { seed: Number(seed) } : {};
  if (!await attempt(`Starting “${scenario.title}”`, () => api.startScenario(scenario.id, start))) return;
  go("scenario", scenario.id);
}

export const stopScenario = (scenario) => attempt(`Stopping “${scenario.title}”`, () => api.stopScenario(scenario.id));
export const revealScenario = (scenario) => attempt(`Revealing “${scenario.title}”`, () => api.revealScenario(scenario.id));

/** Opens the newest trace that a rule hit. */
export async function showOne(id) {
  try {
    const [hit] = await api.traces({ rule: id, limit: 1 });
    if (hit) return go("trace", hit.trace_id);
    toast({ text: `No trace with ${id} is held yet. Turn the rule on, let some requests pass, and ask again.` });
  } catch (error) {
    toast({ tone: "bad", text: `Traces could not be read. ${error.message}` });
  }
}

/** Copies text; says so. */
export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    toast({ text: `${what} copied.` }, 2500);
  } catch {
    toast({ text: `The browser forbids copying here. ${what}: ${text}` });
  }
}

const THEMES = ["dark", "light"];

/** Switches between dark and light, and remembers it. */
export function toggleTheme() {
  const root = document.documentElement;
  const shown = root.dataset.theme ?? (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark");
  const next = THEMES[(THEMES.indexOf(shown) + 1) % 2];
  root.dataset.theme = next;
  try {
    localStorage.setItem("glassmesh.theme", next);
  } catch {
    // Not remembered then.
  }
  set({});
}
