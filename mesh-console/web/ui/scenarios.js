// Ready-made trouble: what happens, what to look for, and a mystery to solve.
import { revealScenario, startScenario, stopScenario } from "../lib/actions.js";
import { countdown, duration } from "../lib/format.js";
import { html, useEffect, useId, useRef, useState } from "../lib/html.js";
import { href } from "../lib/route.js";
import { placeWords } from "../lib/rule.js";
import { useStore } from "../lib/store.js";
import { ticks } from "../lib/ticks.js";
import { Icon, Prose, useTick } from "./parts.js";

export function Scenarios() {
  const { scenarios, route } = useStore();
  const [open, setOpen] = useState(null);
  const asked = route.view === "scenario" ? route.args[0] : null;
  useEffect(() => {
    if (asked) setOpen(asked);
  }, [asked]);
  if (!scenarios?.length) return null;
  const running = scenarios.find((each) => each.running);
  return html`<section class="panel scenarios" aria-labelledby="scenarios-title">
    <div class="panel-head"><h2 id="scenarios-title"><${Icon} name="flask" /> Scenarios</h2>
      <span class="muted" role="status">${running ? html`<b class="tone-bad">${running.title} runs</b>` : "ready-made trouble, with what to look for"}</span></div>
    <ul class="scenario-list">${scenarios.map((each) => html`<${Scenario} key=${each.id} scenario=${each} asked=${asked === each.id}
      open=${open === each.id || (open === null && each.running)} onOpen=${(shown) => setOpen(shown ? each.id : "")} />`)}</ul>
  </section>`;
}

function Scenario({ scenario, open, asked, onOpen }) {
  const box = useRef(null);
  const id = useId();
  useEffect(() => {
    if (asked) box.current?.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }, [asked]);
  return html`<li ref=${box} class=${scenario.running ? "scenario on" : "scenario"} data-scenario=${scenario.id}>
    <h3><button type="button" class="scenario-head" aria-expanded=${String(open)} aria-controls=${id} onClick=${() => onOpen(!open)}>
      <i class=${open ? "twisty open" : "twisty"} aria-hidden="true"></i><span>${scenario.title}</span>
      ${scenario.mystery && html`<em class="chip">mystery</em>`}
      <span class="grow"></span>${scenario.running && html`<${Left} scenario=${scenario} />`}</button></h3>
    ${open && html`<div class="scenario-body" id=${id}>
      <p><${Prose} text=${scenario.story} /></p>
      ${scenario.revealed && html`<p class="revealed" role="status"><b>Revealed:</b> <${Prose} text=${scenario.revealed} /></p>`}
      <${LookFor} scenario=${scenario} />
      <${Changes} scenario=${scenario} />
      ${scenario.running ? html`<${Running} scenario=${scenario} />` : html`<${Start} scenario=${scenario} />`}</div>`}
  </li>`;
}

/** A checklist of one's own: ticks stay in this browser. */
function LookFor({ scenario }) {
  const [ticked, setTicked] = useState(() => ticks.read(scenario.id));
  const tick = (text, on) => {
    const next = on ? [...ticked, text] : ticked.filter((each) => each !== text);
    setTicked(next);
    ticks.write(scenario.id, next);
  };
  if (!scenario.look_for.length) return null;
  const seen = scenario.look_for.filter((text) => ticked.includes(text)).length;
  return html`<fieldset class="look-for"><legend>Look for <span class="muted">${seen}/${scenario.look_for.length} seen</span></legend>
    ${scenario.look_for.map((text) => html`<label key=${text} class="inline check"><input type="checkbox" checked=${ticked.includes(text)}
      onChange=${(event) => tick(text, event.target.checked)} /> <span><${Prose} text=${text} /></span></label>`)}</fieldset>`;
}

function Changes({ scenario }) {
  if (!scenario.rules.length && !scenario.changes.length) return null;
  return html`<p class="small muted">
    ${scenario.rules.length > 0 && html`Rules: ${scenario.rules.map((id) => html`<span key=${id}>${scenario.running ? html`<a class="chip bad" href=${href("chaos", id)}>⚡ ${id}</a>` : html`<code>${id}</code>`} </span>`)}`}
    ${scenario.changes.length > 0 && html`Changes while it runs: ${scenario.changes.map((what) => html`<code key=${what}>${placeWords(what)}</code> `)}`}</p>`;
}

function Start({ scenario }) {
  const [seed, setSeed] = useState("");
  const [busy, setBusy] = useState(false);
  const id = useId();
  const past = async () => {
    setBusy(true);
    await revealScenario(scenario);
    setBusy(false);
  };
  const begin = async (event) => {
    event.preventDefault();
    setBusy(true);
    await startScenario(scenario, seed.trim());
    setBusy(false);
  };
  return html`<form class="row" onSubmit=${begin}>
    <button type="submit" class="button danger small" disabled=${busy}>Start${scenario.for ? ` for ${duration(scenario.for)}` : ""}</button>
    <label class="inline" for=${id}>seed <input id=${id} type="text" inputmode="numeric" pattern="\\s*[0-9]*\\s*" size="8" placeholder="any"
      title="A whole number; the same one brings the same trouble" autocomplete="off" value=${seed} onInput=${(event) => setSeed(event.target.value)} /></label>
    ${scenario.mystery && !scenario.revealed && html`<button type="button" class="link" disabled=${busy} title="What the mystery was that ran last" onClick=${past}>what was it last time?</button>`}
  </form>`;
}

function Running({ scenario }) {
  const [busy, setBusy] = useState(false);
  const run = (what) => async () => {
    setBusy(true);
    await what(scenario);
    setBusy(false);
  };
  return html`<div class="row">
    ${scenario.mystery && html`<button type="button" class="button small" disabled=${busy} onClick=${run(revealScenario)}>Reveal</button>`}
    <button type="button" class="button small" disabled=${busy} onClick=${run(stopScenario)}>Stop</button>
    ${scenario.seed != null && html`<span class="muted small">seed <code>${String(scenario.seed)}</code></span>`}</div>`;
}

/** Time until the scenario ends by itself. */
export function Left({ scenario }) {
  const { scenariosAt } = useStore();
  useTick(1000);
  if (scenario.left_ms == null) return null;
  return html`<span class="time-left" title="Time until it ends by itself">${countdown(Math.max(0, scenario.left_ms - (Date.now() - scenariosAt)))}</span>`;
}
