// Numbers in words. Pure functions: the unit tests run them in Node.

/** Between a number and its unit. */
export const NARROW = "\u202f"; // narrow no-break space

/** Requests a second, with digits that fit its size. */
export function rate(value) {
  if (value == null || Number.isNaN(value)) return "–";
  if (value === 0) return "0";
  if (value < 0.1) return "<0.1";
  if (value < 10) return value.toFixed(1);
  if (value < 10000) return Math.round(value).toString();
  return `${Math.round(value / 1000)}k`;
}

/** A share from 0 to 1 as percent. Never rounds up to 100 %: a lost request stays visible. */
export function percent(share) {
  if (share == null) return "–";
  const value = share * 100;
  if (value >= 100) return `100${NARROW}%`;
  if (value > 99.9) return `${(Math.floor(value * 100) / 100).toFixed(2)}${NARROW}%`;
  if (value >= 10) return `${(Math.floor(value * 10) / 10).toFixed(1)}${NARROW}%`;
  return `${value.toFixed(1)}${NARROW}%`;
}

/** Milliseconds as people say them. */
export function millis(ms) {
  if (ms == null) return "–";
  if (ms < 1) return `${Math.max(1, Math.round(ms * 1000))}${NARROW}µs`;
  if (ms < 10) return `${ms.toFixed(1)}${NARROW}ms`;
  if (ms < 1000) return `${Math.round(ms)}${NARROW}ms`;
  if (ms < 60000) return `${(ms / 1000).toFixed(2)}${NARROW}s`;
  return `${(ms / 60000).toFixed(1)}${NARROW}min`;
}

/** Microseconds, as traces carry them. */
export const micros = (us) => millis(us == null ? null : us / 1000);

/** Time left as m:ss. */
export function countdown(ms) {
  if (ms == null) return "";
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/** How long ago, coarse on purpose. */
export function ago(atMs, nowMs = Date.now()) {
  const seconds = Math.max(0, Math.round((nowMs - atMs) / 1000));
  if (seconds < 2) return "now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return new Date(atMs).toLocaleString();
}

/** Wall-clock time with seconds. */
export const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour12: false });

export const count = (number) => (number ?? 0).toLocaleString("en");
export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

/** Milliseconds of a duration text such as `1m 30s`; null when it is none. */
export function parseDuration(text) {
  const units = { us: 0.001, µs: 0.001, ms: 1, s: 1000, sec: 1000, m: 60000, min: 60000, h: 3600000, d: 86400000 };
  let total = 0;
  const rest = String(text ?? "").trim().replace(/(\d+(?:\.\d+)?)\s*([a-zµ]+)\s*/g, (_, number, unit) => {
    const base = unit.replace(/s$/, "") || unit;
    total += Number(number) * (units[unit] ?? units[base] ?? NaN);
    return "";
  });
  return rest === "" && total > 0 ? total : null;
}

/** `400ms` → `400 ms`, `10KiB/s` → `10 KiB/s`. */
export const duration = (text) => String(text).replace(/(\d)([a-zA-Zµ])/g, `$1${NARROW}$2`);

/** How good a share of successes is: the one scale for edges, numbers and badges. */
export function tone(success) {
  if (success == null) return "idle";
  if (success >= 0.995) return "ok";
  return success >= 0.95 ? "warn" : "bad";
}
