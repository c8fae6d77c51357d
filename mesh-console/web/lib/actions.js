// What people do to the mesh, with the way back.
import { api } from "./api.js";
import { changeStarted, set, setChaos, state, toast } from "./store.js";
import { go } from "./route.js";

/** Runs a write; a refusal is said, never swallowed. Returns whether it was taken. */
async function attempt(what, write, rule = null) {
  changeStarted(rule);
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
    action: { label: "Undo", run: () => attempt(`Bringing ${rule.id} back`, () => api.putRule(fresh(rule))) },
  });
}

/** The rule as a person would write it: its end is the console's to set. */
export const fresh = ({ expires_at_ms: _end, ...rule }) => rule;

/** Turns every rule off, everywhere; what was on can be brought back. */
export async function halt() {
  const on = (state.chaos?.rules ?? []).filter((entry) => entry.rule.enabled).map((entry) => entry.rule.id);
  if (!await attempt("Halt all", api.halt)) return;
  if (!on.length) return void toast({ text: "No rule was in force; nothing had to be halted." }, 4000);
  toast({
    tone: "ok",
    text: `Chaos halted: ${on.join(", ")} ${on.length === 1 ? "is" : "are"} off.`,
    action: {
      label: "Undo",
      key: "u",
      run: () => attempt("Undo", async () => {
        for (const id of on) await api.toggleRule(id, true);
      }),
    },
  }, 15000);
}

/** Opens the newest trace that a rule hit. */
export async function showOne(id) {
  try {
    const traces = await api.traces({ filter: "faulted", limit: 200 });
    const hit = traces.find((trace) => trace.faults.includes(id));
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
