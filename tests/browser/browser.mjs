// Finds and starts the browser, and opens pages that remember what went wrong.
import { existsSync } from "node:fs";
import { connect, createServer } from "node:net";
import { chromium } from "playwright-core";

const PLACES = [
  process.env.CHROMIUM,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/usr/bin/google-chrome-stable",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
];

// No call to anything but the pages under test.
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

export const consoleUrl = address("GLASSMESH_CONSOLE_URL", "http://127.0.0.1:4090");
export const shopUrl = address("GLASSMESH_SHOP_URL", "http://127.0.0.1:4080");

function address(variable, otherwise) {
  return (process.env[variable] ?? otherwise).replace(/\/$/, "");
}

export async function launch() {
  const executablePath = PLACES.find((place) => place && existsSync(place));
  if (!executablePath) throw new Error("No Chromium or Chrome was found: install one (apt-get install chromium), or name it in CHROMIUM.");
  return chromium.launch({ executablePath, args: FLAGS });
}

/**
 * A page of the console in a context of its own. `page.complaints` collects errors of the
 * console, uncaught exceptions, breaches of the content security policy and failed loads.
 */
export async function open(browser, { path = "/", base = consoleUrl, width = 1440, height = 900, scheme = "dark" } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme });
  const page = await context.newPage();
  page.complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) page.complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => page.complaints.push(`exception: ${error.message}`));
  page.on("response", (response) => {
    const own = response.url().startsWith(base);
    if (!own) page.complaints.push(`foreign address: ${response.url()}`);
    if (own && response.status() >= 500) page.complaints.push(`${response.status()} from ${response.url()}`);
  });
  await page.addInitScript(() => {
    globalThis.breaches = [];
    document.addEventListener("securitypolicyviolation", (event) => {
      globalThis.breaches.push(`${event.violatedDirective}: ${event.blockedURI}`);
    });
  });
  await page.goto(base + path);
  return page;
}

/** A way to the console that can be cut and mended: `{url, cut, mend, close}`. */
export async function relay() {
  const { hostname, port } = new URL(consoleUrl);
  const sockets = new Set();
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    for (const [from, to] of [[near, far], [far, near]]) {
      sockets.add(from);
      from.on("error", () => {}).on("close", () => { sockets.delete(from); to.destroy(); });
      from.pipe(to);
    }
  });
  const listen = (at) => new Promise((done) => { server.listen(at, "127.0.0.1", done); });
  const cut = () => new Promise((done) => {
    server.close(done);
    for (const socket of sockets) socket.destroy();
  });
  await listen(0);
  const own = server.address().port;
  return { url: `http://127.0.0.1:${own}`, cut, mend: () => listen(own), close: cut };
}

/** A call to the console's API, as a script would make it. */
export async function api(method, path, body) {
  const response = await fetch(consoleUrl + path, {
    method,
    headers: method === "GET" ? {} : { "content-type": "application/json", "x-glassmesh": "1" },
    body: method === "GET" ? undefined : JSON.stringify(body ?? {}),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

/** Rules that are in force now; to be put back by `restore` when a test is over. */
export async function rulesInForce() {
  return (await api("GET", "/api/mesh/chaos")).rules.filter((entry) => entry.rule.enabled).map((entry) => entry.rule.id);
}

export async function restore(ids) {
  await api("POST", "/api/mesh/chaos/halt");
  for (const id of ids) await api("PATCH", `/api/mesh/chaos/${id}`, { enabled: true });
}

/** Asks until the answer is truthy; says what was waited for when it never is. */
export async function until(what, ask, { within = 20000, every = 250 } = {}) {
  const end = Date.now() + within;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`not within ${within / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, every));
  }
}

/** Places orders at the shop until stopped: what the page shows must not depend on the mesh's own load. */
export function orders(pauseMs = 60) {
  let going = true;
  let placed = 0;
  const run = (async () => {
    const ids = await stock();
    while (going) {
      await order(ids).then(() => { placed += 1; }, () => {});
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  })();
  return { stop: async () => { going = false; await run; return placed; } };
}

async function shop(method, path, body) {
  const response = await fetch(shopUrl + path, {
    method, headers: { "content-type": "application/json" }, body: body && JSON.stringify(body),
  });
  return response.json();
}

async function stock() {
  const user = await shop("POST", "/users", { name: "Browser Test" });
  const product = await shop("POST", "/products", { name: "Looking glass", price_cents: 1999, stock: 100000 });
  const listed = await shop("GET", "/products");
  const known = Array.isArray(listed) ? listed : listed.products ?? [];
  return { user: user.user_id, product: known[0]?.product_id ?? product.product_id };
}

const order = ({ user, product }) =>
  shop("POST", "/orders", { user_id: user, items: [{ product_id: product, quantity: 1 }] });
