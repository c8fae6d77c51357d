// Shows /openapi.json as a page of operations that can be tried out.

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

/** An element with properties and children; text only ever as text. */
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** An example value for a schema: its own, or one made from its parts. */
function example(schema, api, depth = 0) {
  if (!schema || depth > 8) return null;
  if (schema.$ref) {
    return example(api.components.schemas[schema.$ref.split('/').pop()], api, depth + 1);
  }
  if (schema.example !== undefined) return schema.example;
  if (schema.examples?.length) return schema.examples[0];
  const choice = (schema.oneOf ?? schema.anyOf ?? schema.allOf)?.find((part) => part.type !== 'null');
  if (choice) return example(choice, api, depth + 1);
  if (schema.enum) return schema.enum[0];
  const types = [schema.type].flat().filter((type) => type !== 'null');
  switch (types[0]) {
    case 'object':
      return Object.fromEntries(Object.entries(schema.properties ?? {})
        .map(([name, part]) => [name, example(part, api, depth + 1)]));
    case 'array': return [example(schema.items, api, depth + 1)];
    case 'integer':
    case 'number': return schema.minimum ?? 1;
    case 'boolean': return false;
    default: return 'text';
  }
}

function hex(bytes) {
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function field(parameter, prefix) {
  const id = `${prefix}-${parameter.name}`;
  const input = make('input', { id, name: parameter.name, required: parameter.required === true });
  const given = parameter.example ?? parameter.schema?.example;
  if (parameter.in === 'path' && given !== undefined) input.value = given;
  else if (given !== undefined) input.placeholder = given;
  const label = make('label', { htmlFor: id }, make('code', {}, parameter.name), ` (${parameter.in})`);
  const row = make('div', { className: 'field' }, label, input);
  if (parameter.description) row.append(make('small', {}, parameter.description));
  return { row, input, parameter };
}

/** Path, query and headers from the filled-in fields. */
function address(path, fields) {
  const query = new URLSearchParams();
  const headers = {};
  for (const { input, parameter } of fields) {
    const value = input.value.trim();
    if (parameter.in === 'path') path = path.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (value && parameter.in === 'query') query.set(parameter.name, value);
    else if (value && parameter.in === 'header') headers[parameter.name] = value;
  }
  const text = query.toString();
  return { url: text ? `${path}?${text}` : path, headers };
}

async function send(method, path, fields, body, output) {
  const { url, headers } = address(path, fields);
  // A trace of our own choice, so that it can be named before the answer is there.
  const trace = hex(16);
  headers.traceparent = `00-${trace}-${hex(8)}-01`;
  if (body) headers['content-type'] = 'application/json';
  output.replaceChildren(make('p', {}, `${method.toUpperCase()} ${url} …`));
  const start = performance.now();
  try {
    const answer = await fetch(url, { method, headers, body: body?.value });
    const text = await answer.text();
    const took = Math.round(performance.now() - start);
    output.replaceChildren(
      make('p', {},
        make('span', { className: answer.ok ? 'good' : 'bad' }, `${answer.status} ${answer.statusText}`),
        ` in ${took} ms · see how it went: `, make('code', {}, `glassmesh trace ${trace}`)),
      make('pre', { tabIndex: 0 }, pretty(text) || '(no body)'),
    );
  } catch (error) {
    output.replaceChildren(make('p', { className: 'bad' }, `No answer: ${error.message}`));
  }
}

function answers(operation) {
  const rows = Object.entries(operation.responses ?? {}).map(([status, answer]) => {
    const kind = answer.content?.['application/json']?.schema;
    const name = (kind?.$ref ?? kind?.items?.$ref ?? '').split('/').pop();
    return make('tr', {}, make('td', {}, status), make('td', {}, answer.description || name));
  });
  return make('table', {}, make('tbody', {}, ...rows));
}

function operationCard(path, method, operation, api) {
  const prefix = `${method}${path}`.replaceAll(/[^a-z]+/gi, '-');
  const fields = (operation.parameters ?? []).map((parameter) => field(parameter, prefix));
  const form = make('form', {}, ...fields.map(({ row }) => row));
  const schema = operation.requestBody?.content?.['application/json']?.schema;
  let body = null;
  if (schema) {
    body = make('textarea', { id: `${prefix}-body`, spellcheck: false });
    body.value = JSON.stringify(example(schema, api), null, 2);
    form.append(make('h3', {}, make('label', { htmlFor: body.id }, 'Body')), body);
  }
  const button = make('button', { type: 'submit' }, 'Send');
  const output = make('div', { ariaLive: 'polite' });
  form.append(button);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    button.disabled = true;
    await send(method, path, fields, body, output);
    button.disabled = false;
  });
  return make('details', {},
    make('summary', {},
      make('span', { className: `method ${method}` }, method.toUpperCase()),
      make('code', {}, path), make('span', {}, operation.summary ?? '')),
    make('div', { className: 'inside' }, form, output, make('h3', {}, 'Answers'), answers(operation)));
}

function show(api) {
  document.getElementById('about').replaceChildren(
    `${api.info.description} `, make('a', { href: '/openapi.json' }, 'openapi.json'));
  const byService = Map.groupBy(
    Object.entries(api.paths).flatMap(([path, item]) => METHODS.filter((method) => item[method])
      .map((method) => ({ path, method, operation: item[method] }))),
    ({ operation }) => operation.tags?.[0] ?? 'other');
  const links = [];
  const sections = [];
  for (const [service, operations] of byService) {
    links.push(make('a', { href: `#${service}` }, service));
    const cards = operations.map(({ path, method, operation }) => operationCard(path, method, operation, api));
    sections.push(make('section', { id: service }, make('h2', {}, service), ...cards));
  }
  document.getElementById('services').replaceChildren(...links);
  document.getElementById('operations').replaceChildren(...sections);
}

try {
  const answer = await fetch('/openapi.json');
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
  show(await answer.json());
} catch (error) {
  const about = document.getElementById('about');
  about.className = 'bad';
  about.textContent = `The description of the API cannot be loaded: ${error.message}. Reload to try again.`;
}
