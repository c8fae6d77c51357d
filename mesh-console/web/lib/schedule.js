// When within its time a rule strikes: the same arithmetic as the sidecars', and words for it.
import { duration, parseDuration } from "./format.js";

const times = (schedule) => {
  const read = (key) => parseDuration(schedule?.[key]) ?? 0;
  return { after: read("after"), on: read("on"), off: read("off"), ramp: read("ramp") };
};

/** The part of the share that is in force so many milliseconds after being turned on, 0 to 1. */
export function share(schedule, since) {
  const { after, on, off, ramp } = times(schedule);
  const running = since - after;
  if (running < 0) return 0;
  if (on && off && running % (on + off) >= on) return 0;
  return ramp && running < ramp ? running / ramp : 1;
}

/** Points of a drawn schedule; enough that no edge of a cycle looks slanted. */
const STEPS = 240;
/** Cycles in view at once. */
const CYCLES = 4;

/**
 * The stretch of a schedule worth looking at: `{from, to, points: [[0…1, 0…1]], now}`, with `now`
 * as a share of the stretch. Times in milliseconds since the rule was turned on.
 */
export function stretch(schedule, ttl, since = 0) {
  const { after, on, off, ramp } = times(schedule);
  const cycles = on && off ? (on + off) * CYCLES : 0;
  const length = Math.min(ttl || Infinity, Math.max(after + Math.max(ramp * 1.25, cycles), after * 1.5, 1000));
  const from = Math.max(0, Math.min(since - length / 2, (ttl || Infinity) - length));
  const points = Array.from({ length: STEPS + 1 }, (_, i) => [i / STEPS, share(schedule, from + (i / STEPS) * length)]);
  return { from, to: from + length, points, now: Math.min(1, (since - from) / length) };
}

/** `quiet for 10 s, then 5 s on and 15 s off, rising to its full share over 40 s`; empty when always. */
export function scheduleWords(schedule) {
  if (!schedule) return "";
  const { after, on, off, ramp } = schedule;
  const parts = [
    after && `quiet for ${duration(after)}`,
    on && off && `${duration(on)} on and ${duration(off)} off, again and again`,
    ramp && `rising to its full share over ${duration(ramp)}`,
  ].filter(Boolean);
  return parts.join(after ? ", then " : ", ").replace(/, then (.*), then /, ", then $1, ");
}
