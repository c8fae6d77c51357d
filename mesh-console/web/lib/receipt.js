// What a rule met, in words. Pure functions.
import { ago, count } from "./format.js";
import { place } from "./rule.js";

/** `struck 41 of 214 attempts`; with conditions `struck 41 of 60 that matched, 214 came by`. */
export function struckWords({ rule, receipt }) {
  const { seen = 0, matched = 0, struck = 0 } = receipt ?? {};
  const unit = place(rule.where).service || rule.position === "request" ? "request" : "attempt";
  const units = (number) => `${unit}${number === 1 ? "" : "s"}`;
  if (!seen) return `no ${unit} came by yet`;
  if (!matched) return `none of ${count(seen)} ${units(seen)} matched`;
  if (matched === seen) return `struck ${count(struck)} of ${count(seen)} ${units(seen)}`;
  return `struck ${count(struck)} of ${count(matched)} that matched, ${count(seen)} ${units(seen)} came by`;
}

/** What else is worth a word: `[words, tone]`. */
export function receiptNotes({ receipt }, nowMs = Date.now()) {
  const { spared = 0, held = 0, last_ms: last } = receipt ?? {};
  return [
    last != null && [`last ${ago(last, nowMs).replace(/^now$/, "just now")}`, ""],
    held > 0 && [`holds ${count(held)} now`, "bad"],
    spared > 0 && [`spared ${count(spared)} beyond its bounds`, "warn"],
  ].filter(Boolean);
}
