// What lies over the page for a moment: messages with an undo, and the list of keys.
import { html, useEffect, useRef } from "../lib/html.js";
import { dismiss, useStore } from "../lib/store.js";
import { Icon } from "./parts.js";

export function Toasts() {
  const { toasts } = useStore();
  return html`<div class="toasts" role="status" aria-live="polite">${toasts.map((entry) => html`<div key=${entry.id} class="toast tone-${entry.tone ?? "idle"}">
    <span>${entry.text}</span>
    ${entry.action && html`<button type="button" class="button small" onClick=${() => act(entry)}>${entry.action.label}${entry.action.key && html` <kbd>${entry.action.key}</kbd>`}</button>`}
    <button type="button" class="ghost" aria-label="Dismiss" onClick=${() => dismiss(entry.id)}><${Icon} name="close" /></button></div>`)}</div>`;
}

/** Does what a message offers, once. */
export function act(entry) {
  dismiss(entry.id);
  entry.action.run();
}

export const KEYS = [
  ["h", "Halt all: every chaos rule off, in every sidecar (Alt+H also while you type)"],
  ["u", "Undo a halt or a removal, while its message is shown"],
  ["c", "New chaos rule"],
  ["s", "Scenarios"],
  ["1 … 9", "Toggle the first, second … rule"],
  ["/", "Open a trace by its id"],
  ["t", "Dark or light"],
  ["Esc", "Close what is open"],
  ["?", "This list"],
];

export function Help({ open, onClose }) {
  const dialog = useRef(null);
  useEffect(() => {
    if (open && !dialog.current.open) dialog.current.showModal();
    if (!open && dialog.current.open) dialog.current.close();
  }, [open]);
  return html`<dialog ref=${dialog} class="help" aria-labelledby="help-title" onClose=${onClose}>
    <h2 id="help-title">Keys</h2>
    <dl>${KEYS.map(([key, text]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${text}</dd></div>`)}</dl>
    <button type="button" class="button" onClick=${onClose}>Close</button></dialog>`;
}
