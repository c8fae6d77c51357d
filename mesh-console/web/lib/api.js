// Calls to the console. Writes carry a header that a foreign page cannot send.

/** A refusal by the console, or its silence (`code: "unreachable"`). */
export class ApiFailure extends Error {
  constructor(code, message, problems = []) {
    super(message);
    this.code = code;
    this.problems = problems;
  }
}

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", ...options });
  } catch {
    throw new ApiFailure("unreachable", "The console does not answer. Is `glassmesh up` still running?");
  }
  const text = await response.text();
  const body = parse(text);
  if (!response.ok) throw failure(response, body, text);
  return body;
}

function parse(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}

function failure(response, body, text) {
  const jaeger = body?.errors?.[0]?.msg;
  const message = body?.message ?? jaeger ?? (text.slice(0, 200) || response.statusText);
  return new ApiFailure(body?.code ?? String(response.status), message, body?.problems ?? []);
}

const write = (method, path, body = {}) => request(path, {
  method,
  headers: { "content-type": "application/json", "x-glassmesh": "1" },
  body: JSON.stringify(body),
});

const scenarioPath = (id) => `/api/mesh/scenarios/${encodeURIComponent(id)}`;
const rulePath = (id) => `/api/mesh/chaos/${encodeURIComponent(id)}`;

export const api = {
  overview: () => request("/api/mesh/overview"),
  chaos: () => request("/api/mesh/chaos"),
  activity: () => request("/api/mesh/activity"),
  traces: (query) => request(`/api/mesh/traces?${new URLSearchParams(query)}`),
  trace: async (id) => (await request(`/api/traces/${encodeURIComponent(id)}`))?.data?.[0] ?? null,
  edge: (source, destination) => request(`/api/mesh/edge?${new URLSearchParams({ source, destination })}`),
  putRule: (rule) => write("POST", "/api/mesh/chaos", rule),
  toggleRule: (id, enabled) => write("PATCH", rulePath(id), { enabled }),
  deleteRule: (id) => write("DELETE", rulePath(id)),
  scenarios: () => request("/api/mesh/scenarios"),
  startScenario: (id, start) => write("POST", scenarioPath(id), start),
  stopScenario: (id) => write("DELETE", scenarioPath(id)),
  revealScenario: (id) => write("POST", `${scenarioPath(id)}/reveal`),
  halt: () => write("POST", "/api/mesh/chaos/halt"),
};
