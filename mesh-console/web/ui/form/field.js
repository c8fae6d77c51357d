// Labelled controls of the rule form, each with what the console says against it beneath.
import { problemsAt } from "../../lib/draft.js";
import { html, useId } from "../../lib/html.js";
import { Prose } from "../parts.js";

/** Says what is wrong with a key; `id` is for `aria-describedby`. */
export function Complaint({ problems, keys, id }) {
  const found = [keys].flat().flatMap((key) => problemsAt(problems, key));
  if (!found.length) return null;
  return html`<p class="complaint" id=${id} data-problem=${[keys].flat()[0]}>${found.map((each) => html`<span key=${each.key + each.message}>
    ${[keys].flat().includes(each.key) ? "" : html`<code>${each.key}</code> `}<${Prose} text=${each.message} /></span>`)}</p>`;
}

export const isWrong = (problems, keys) => [keys].flat().some((key) => problemsAt(problems, key).length > 0);

/** A row of the form. `children` takes what its control must carry. */
export function Field({ label, keys = [], problems, hint, children }) {
  const id = useId();
  const wrong = isWrong(problems, keys);
  return html`<div class=${wrong ? "field wrong" : "field"}><label for=${id}>${label}</label>
    <div class="control">${children({ id, "aria-invalid": wrong ? "true" : null, "aria-describedby": wrong ? `${id}-e` : hint ? `${id}-h` : null })}
      ${hint && html`<p class="hint muted" id="${id}-h">${hint}</p>`}
      <${Complaint} problems=${problems} keys=${keys} id="${id}-e" /></div></div>`;
}

/** A row with several controls that have names of their own. */
export function Group({ label, keys = [], problems, hint, children }) {
  const id = useId();
  return html`<div class=${isWrong(problems, keys) ? "field wrong" : "field"} role="group" aria-labelledby=${id}><span class="label" id=${id}>${label}</span>
    <div class="control"><div class="row">${children}</div>${hint && html`<p class="hint muted">${hint}</p>`}
      <${Complaint} problems=${problems} keys=${keys} id="${id}-e" /></div></div>`;
}

/** A small control with its name before it. */
export const Inline = ({ name, unit = "", children, ...rest }) => html`<label class="inline" ...${rest}>${name && html`<span>${name}</span>`}${children}${unit && html`<span>${unit}</span>`}</label>`;

/** A line of text; `wide` takes the room there is. */
export const Text = ({ value, onChange, size = 8, wide = false, ...rest }) => html`<input type="text" class=${wide ? "wide" : ""} size=${wide ? null : size}
  autocomplete="off" spellcheck=${false} value=${value} onInput=${(event) => onChange(event.target.value)} ...${rest} />`;

export const Select = ({ value, onChange, options, ...rest }) => html`<select value=${value} onChange=${(event) => onChange(event.target.value)} ...${rest}>
  ${options.map(([key, text]) => html`<option key=${key} value=${key} selected=${key === value}>${text}</option>`)}</select>`;

export const Check = ({ checked, onChange, children }) => html`<label class="inline check"><input type="checkbox" checked=${checked}
  onChange=${(event) => onChange(event.target.checked)} /> <span>${children}</span></label>`;
