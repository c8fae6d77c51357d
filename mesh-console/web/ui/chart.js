// The last minutes of an edge: success before and after retries, and p99.
import { api } from "../lib/api.js";
import { millis, percent } from "../lib/format.js";
import { edgeKey, fromConsole, samples } from "../lib/history.js";
import { html, useEffect, useState } from "../lib/html.js";
import { line } from "./parts.js";

const WIDTH = 360;
const HEIGHT = 64;
/** Seconds shown: at least, at most. */
const SHORTEST = 30;
const LONGEST = 300;
const REFRESH_MS = 5000;

/** The chart of a call: what the console remembers, and until it says so what this page saw. */
export function EdgeChart({ source, destination }) {
  const [kept, setKept] = useState(null);
  useEffect(() => {
    const load = () => api.edge(source, destination).then((history) => setKept(fromConsole(history)), () => setKept(null));
    load();
    const timer = setInterval(load, REFRESH_MS);
    return () => clearInterval(timer);
  }, [source, destination]);
  const seen = samples(edgeKey(source, destination));
  return html`<${Chart} samples=${kept?.length > 2 ? kept : seen} />`;
}

function Chart({ samples: all }) {
  const shown = all.filter((each) => each.at >= all.at(-1).at - LONGEST * 1000);
  if (shown.length < 3) return html`<p class="muted small">A chart follows after some seconds of traffic.</p>`;
  const end = shown.at(-1).at;
  const seconds = Math.min(LONGEST, Math.max(SHORTEST, Math.round((end - shown[0].at) / 1000)));
  const x = (i) => WIDTH - ((end - shown[i].at) / 1000 / seconds) * WIDTH;
  const top = Math.max(10, ...shown.map((each) => each.p99 ?? 0)) * 1.15;
  const low = Math.min(0.9, ...shown.map((each) => Math.min(each.success ?? 1, each.before ?? 1)));
  const share = (value) => HEIGHT - 3 - ((value - low) / (1 - low || 1)) * (HEIGHT - 10);
  const time = (value) => HEIGHT - 3 - (value / top) * (HEIGHT - 10);
  return html`<div class="charts">
    <figure><figcaption><span>success <i class="key ok"></i>after and <i class="key warn"></i>before retries</span><span class="muted">from ${percent(low)}</span></figcaption>
      <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label=${`Success now ${percent(shown.at(-1).success)}, before retries ${percent(shown.at(-1).before)}`}>
        <path class="series tone-warn" d=${line(shown.map((each) => each.before), x, share)} />
        <path class="series tone-ok" d=${line(shown.map((each) => each.success), x, share)} /></svg></figure>
    <figure><figcaption><span>p99 and p50</span><span class="muted">to ${millis(top)}</span></figcaption>
      <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label=${`p99 now ${millis(shown.at(-1).p99)}, p50 ${millis(shown.at(-1).p50)}`}>
        <path class="series tone-idle" d=${line(shown.map((each) => each.p50), x, time)} />
        <path class="series tone-accent" d=${line(shown.map((each) => each.p99), x, time)} /></svg></figure>
    <p class="axis muted"><span>${seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`} ago</span><span>now</span></p>
  </div>`;
}
