// The one place that knows which libraries draw the page.
import { h, render, Fragment } from "../vendor/preact.js";
import htm from "../vendor/htm.js";

/** Template tag that makes Preact elements; every inserted value is escaped by Preact. */
export const html = htm.bind(h);
export { h, render, Fragment };
export { useState, useEffect, useLayoutEffect, useRef, useMemo, useCallback, useId } from "../vendor/hooks.js";
