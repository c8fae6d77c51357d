// The console's page in a real browser, against a mesh that runs already:
//   GLASSMESH_CONSOLE_URL=http://127.0.0.1:4090 GLASSMESH_SHOP_URL=http://127.0.0.1:4080 npm test
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { api, launch, open, orders, relay, restore, rulesInForce, until } from "./browser.mjs";

const SERVICES = ["gateway", "users", "products", "inventory", "orders", "payments", "notifications"];
const RULE = "flaky-payments";

describe("the console's page", { timeout: 480000 }, () => {
  let browser;
  let inForce;
  let traffic;

  before(async () => {
    inForce = await rulesInForce();
    await api("POST", "/api/mesh/chaos/halt");
    traffic = orders();
    browser = await launch();
  });

  after(async () => {
    await traffic?.stop();
    await browser?.close();
    if (inForce) await restore(inForce);
  });

  test("loads without a complaint, under its strict policy", async () => {
    const page = await open(browser);
    await page.waitForSelector('#live[data-link="live"]');
    const policy = (await fetch(page.url())).headers.get("content-security-policy") ?? "";
    assert.match(policy, /default-src 'none'/);
    assert.doesNotMatch(policy, /unsafe/);
    await page.waitForTimeout(2500); // two more overviews
    assert.deepEqual(await page.evaluate(() => globalThis.breaches), []);
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  });

  test("shows the seven services with live numbers", async () => {
    const page = await open(browser);
    for (const name of SERVICES) await page.waitForSelector(`.node[data-service="${name}"]`);
    const figure = () => page.textContent(".figure:first-child dd");
    await until("requests a second in the header", async () => Number.parseFloat(await figure()) > 0);
    await page.waitForSelector('[data-edge="orders -> payments"] .flow', { state: "attached" });
    const receipts = await page.textContent("#receipts");
    assert.match(receipts, /^(\d+)\/\1 sidecars on revision \d+$/, "every sidecar holds the newest revision");
    const row = await page.textContent('.calls tr:has(a[href="#/edge/orders/payments"])');
    assert.match(row, /orders\s*→\s*payments/);
    await page.context().close();
  });

  test("a toggled rule is in force everywhere, and a trace names it", async () => {
    const page = await open(browser);
    const rule = page.locator(`.chaos [data-rule="${RULE}"]`);
    await rule.getByRole("switch").click();
    await rule.locator(".in-force").waitFor({ timeout: 10000 });
    assert.match(await rule.locator(".in-force").textContent(), /in force on (\d+)\/\1 sidecars/);
    assert.match(await rule.locator(".time-left").textContent(), /^\d+:\d\d/);
    assert.match(await page.textContent("#halt"), /Halt all · 1/);

    await page.getByRole("button", { name: "retried" }).click();
    const saved = page.locator(`.traces .trace-row:has-text("${RULE}"):has-text("POST /orders")`).first();
    await saved.waitFor({ timeout: 30000 });
    await saved.click();
    const attempt = page.locator(".trace-view .span-row.hit").first();
    await attempt.waitFor({ timeout: 15000 });
    assert.match(await page.textContent(".trace-view .story"), new RegExp(`attempt 1 at \\S+: ${RULE} answered 503`));
    assert.match(await page.textContent(".trace-view .waterfall"), new RegExp(`⚡ ${RULE}`));
    assert.match(page.url(), /#\/trace\/[0-9a-f]{32}/);

    await page.locator(".trace-view .span-row.hit .span-main").last().click();
    await page.waitForSelector(".span-detail .events li.bad");
    assert.match(await page.textContent(".span-detail .events li.bad"), new RegExp(`mesh\\.fault[\\s\\S]*${RULE}`));
    await page.keyboard.press("Escape");
    await page.waitForSelector(".trace-view", { state: "detached" });
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  });

  test("“show me one” leads to a trace of that rule", async () => {
    await api("PATCH", `/api/mesh/chaos/${RULE}`, { enabled: true });
    const page = await open(browser, { path: `/#/chaos/${RULE}` });
    const rule = page.locator(`.chaos [data-rule="${RULE}"].chosen`);
    await rule.getByRole("button", { name: "show me one" }).click();
    await page.waitForSelector(`.trace-view .chip:has-text("${RULE}")`);
    await page.context().close();
  });

  test("Halt all on one page turns the rule off on another within a second", async () => {
    await api("PATCH", `/api/mesh/chaos/${RULE}`, { enabled: true });
    const [mine, theirs] = [await open(browser), await open(browser)];
    const on = `.chaos [data-rule="${RULE}"] [role="switch"][aria-checked="true"]`;
    const off = `.chaos [data-rule="${RULE}"] [role="switch"][aria-checked="false"]`;
    await Promise.all([mine.waitForSelector(on), theirs.waitForSelector(on)]);
    // Each page notes the time itself: how long this test waits for its turn does not count.
    await theirs.evaluate((selector) => {
      new MutationObserver(() => {
        if (document.querySelector(selector)) globalThis.seenAt ??= Date.now();
      }).observe(document.body, { subtree: true, attributes: true, childList: true });
    }, off);
    await mine.evaluate(() => addEventListener("keydown", () => { globalThis.pressedAt = Date.now(); }, true));
    await mine.keyboard.press("h");
    await theirs.waitForSelector(off, { timeout: 10000 });
    const took = await theirs.evaluate(() => globalThis.seenAt) - await mine.evaluate(() => globalThis.pressedAt);
    assert.ok(took < 1000, `seen on the other page after ${took} ms`);
    await mine.waitForSelector(".toast");
    assert.match(await mine.textContent(".toast"), new RegExp(`${RULE} is off`));
    await mine.keyboard.press("u");
    await theirs.waitForSelector(on, { timeout: 10000 });
    await mine.click("#halt");
    await theirs.waitForSelector(off, { timeout: 10000 });
    assert.deepEqual([...mine.complaints, ...theirs.complaints], []);
    await Promise.all([mine.context().close(), theirs.context().close()]);
  });

  test("what the console has against a rule stands at its field, and nothing typed is lost", async () => {
    const page = await open(browser, { path: "/#/edge/orders/users" });
    await page.getByRole("button", { name: "Break this call" }).click();
    const form = page.locator(".inspector .rule-form");
    const keep = form.getByRole("button", { name: "Keep, switched off" });
    await form.getByRole("button", { name: "delay", exact: true }).click();
    await form.getByRole("button", { name: "error", exact: true }).click();
    await form.getByLabel("time").fill("soon");
    await keep.click();
    const delay = form.locator('[data-problem="delay"]');
    await delay.waitFor();
    assert.match(await delay.textContent(), /soon/, "also a value that cannot be read has its field");
    await form.getByLabel("time").fill("25");
    await form.getByLabel("Name").fill("Not An Id");
    await form.locator("summary", { hasText: "Which requests" }).click();
    await form.getByLabel("Path: how").selectOption("path_regex");
    await form.getByRole("textbox", { name: "Path" }).fill("/users/(");
    await form.locator("summary", { hasText: "Which requests" }).click();
    await keep.click();
    await form.locator('[data-problem="id"]').waitFor();
    assert.match(await form.locator('[data-problem="id"]').textContent(), /Not An Id/);
    assert.equal(await form.getByRole("textbox", { name: "Path" }).inputValue(), "/users/(", "the part with the problem is open again");
    assert.match(await form.locator(".problems").textContent(), /2 fields are marked/);
    await form.getByRole("textbox", { name: "Path" }).fill("/users/.*");
    await form.getByLabel("Name").fill("made-by-test");
    assert.match(await form.locator(".preview").textContent(), /matching calls from orders to users wait 25\sms longer/);
    await keep.click();
    const card = page.locator('.chaos [data-rule="made-by-test"]');
    await card.waitFor();
    assert.equal(await card.getByRole("switch").getAttribute("aria-checked"), "false");
    await card.getByRole("button", { name: "Remove made-by-test" }).click();
    await card.waitFor({ state: "detached" });
    await page.locator(".toast", { hasText: "made-by-test is removed" }).waitFor();
    await page.keyboard.press("u");
    await card.waitFor();
    await api("DELETE", "/api/mesh/chaos/made-by-test");
    await card.waitFor({ state: "detached" });
    const refusals = page.complaints.filter((complaint) => !/status of 4\d\d/.test(complaint));
    assert.deepEqual(refusals, []);
    await page.context().close();
  });

  test("a rule from the form strikes what it is for, shows its receipt, and is halted while one types", async () => {
    const page = await open(browser);
    await page.waitForSelector('.node[data-service="payments"]');
    await page.keyboard.press("c");
    const form = page.locator(".chaos .rule-form");
    await form.waitFor();
    await page.locator('.node[data-service="payments"] .body').click();
    await until("the place that a click on the graph chooses", async () =>
      (await form.getByLabel("Where").inputValue()) === "payments");
    await form.getByRole("button", { name: "delay", exact: true }).click();
    await form.getByRole("button", { name: "error", exact: true }).click();
    await form.getByLabel("delay: spread").selectOption("uniform");
    await form.getByLabel("from").fill("5ms");
    await form.getByLabel("to", { exact: true }).fill("20ms");
    await until("the density of what was typed", async () =>
      /half wait less than 1[23]/.test(await form.locator(".density svg").getAttribute("aria-label")));
    await form.locator("summary", { hasText: "Which requests" }).click();
    await form.getByRole("button", { name: "POST" }).click();
    await form.getByLabel("Share in percent").fill("100");
    await form.getByLabel("Name").fill("form-strikes");
    await form.getByRole("button", { name: "Turn on" }).click();
    const card = page.locator('.chaos [data-rule="form-strikes"].on');
    await card.waitFor();
    assert.match(await card.locator(".terms").textContent(), /only\s*POST/);
    await until("the receipt tells of requests that were struck", async () =>
      /struck [1-9][\d,]* of [1-9]/.test(await card.locator(".struck").textContent().catch(() => "")));
    await card.getByRole("link", { name: "Traces that form-strikes struck" }).click();
    await page.locator('.traces .trace-row:has-text("form-strikes")').first().click();
    await page.locator(".trace-view .span-row.hit .span-main").last().click();
    const fault = page.locator(".span-detail .events li.bad").first();
    await fault.waitFor();
    assert.match(await fault.textContent(), /form-strikes delayed it by [\s\S]*drawn [\d.]+\s%, below the rule’s share of 100/);
    assert.match(page.url(), /#\/trace\//);
    await page.keyboard.press("Escape");

    await page.locator(".find input").focus();
    await page.keyboard.press("Alt+h");
    const said = page.locator(".toast", { hasText: "Chaos halted" });
    await said.waitFor();
    assert.match(await said.textContent(), /form-strikes (?:is|are) off\. (\d+)\/\1 sidecars after [\d.]+\s(ms|s)/);
    await page.locator('.chaos [data-rule="form-strikes"]:not(.on)').waitFor();
    await page.locator('.activity a[href="#/chaos/form-strikes"]').first().waitFor();
    await api("DELETE", "/api/mesh/chaos/form-strikes");
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  });

  test("a scenario is started with a seed, said everywhere, ticked off and stopped", async () => {
    const { id, title, look_for: looks } = (await api("GET", "/api/mesh/scenarios")).find((each) => !each.mystery);
    const page = await open(browser, { path: `/#/scenario/${id}` });
    const scenario = page.locator(`[data-scenario="${id}"]`);
    await scenario.getByLabel("seed").fill("7");
    await scenario.getByRole("button", { name: "Start" }).click();
    await page.locator(".banner.staged", { hasText: title }).waitFor();
    await scenario.locator(".time-left", { hasText: /^\d+:\d\d/ }).waitFor();
    await scenario.locator(".scenario-body", { hasText: /seed 7/ }).waitFor();
    await scenario.getByRole("checkbox").first().check();
    await page.reload();
    await scenario.getByRole("checkbox").first().waitFor();
    assert.ok(await scenario.getByRole("checkbox").first().isChecked(), "a tick stays");
    assert.equal(await scenario.getByRole("checkbox").count(), looks.length);
    await scenario.getByRole("button", { name: "Stop" }).click();
    await scenario.getByRole("button", { name: "Start" }).waitFor();
    assert.equal(await page.locator(".banner.staged").isVisible(), false);
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  });

  test("a mystery tells nothing until it is revealed", async () => {
    const { id } = (await api("GET", "/api/mesh/scenarios")).find((each) => each.mystery);
    const before = (await api("GET", "/api/mesh/chaos")).rules.map((entry) => entry.rule.id);
    await api("POST", `/api/mesh/scenarios/${id}`, { seed: 3 });
    const page = await open(browser, { path: `/#/scenario/${id}` });
    const scenario = page.locator(`[data-scenario="${id}"]`);
    await page.locator(".banner.staged", { hasText: "A mystery runs" }).waitFor();
    await page.waitForTimeout(3000); // its faults strike, and are not told
    const cards = await page.locator(".chaos .rule").evaluateAll((all) => all.map((card) => card.dataset.rule));
    assert.deepEqual(cards, before);
    assert.equal(await page.locator(".bolt, .badge:has-text('⚡')").count(), 0);
    // Traces of rules that everybody knows may still be listed.
    const told = await page.locator(".traces .chip.bad").allTextContents();
    assert.ok(!told.some((chip) => chip.includes(id)), told.join());
    await scenario.getByRole("button", { name: "Reveal" }).click();
    await scenario.locator(".revealed").waitFor();
    await scenario.getByRole("button", { name: "Start" }).waitFor();
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  });

  test("an unknown trace and an unknown call are said honestly", async () => {
    const page = await open(browser, { path: `/#/trace/${"0".repeat(31)}1` });
    await page.waitForSelector(".trace-view .empty");
    await page.evaluate(() => { location.hash = "#/edge/users/nobody"; });
    await page.waitForSelector(".inspector .empty");
    assert.equal(await page.locator(".inspector .empty strong").textContent(), "Nobody makes this call.");
    await page.context().close();
  });

  test("says so when the console is out of reach, and comes back by itself", async () => {
    const way = await relay();
    const page = await open(browser, { base: way.url });
    await page.waitForSelector('#live[data-link="live"]');
    await way.cut();
    await page.waitForSelector('#live[data-link="gone"]');
    assert.match(await page.textContent(".banner.link-lost"), /Console unreachable, traffic flows on/);
    await way.mend();
    await page.waitForSelector('#live[data-link="live"]');
    assert.equal(await page.locator(".banner.link-lost").isVisible(), false);
    await page.context().close();
    await way.close();
  });

  test("leads to the same trace in Jaeger's own page, under a policy that lets no script in", async () => {
    const { trace_id: id } = await until("an order's trace", async () =>
      (await api("GET", "/api/mesh/traces?service=payments&limit=1"))[0]);
    const page = await open(browser, { path: `/#/trace/${id}` });
    const opened = page.context().waitForEvent("page");
    await page.getByRole("link", { name: "Jaeger" }).last().click();
    const jaeger = await opened;
    const complaints = [];
    jaeger.on("pageerror", (error) => complaints.push(error.message));
    await jaeger.waitForSelector(".TracePageHeader--title");
    assert.match(await jaeger.textContent(".TracePageHeader--title"), /POST \/orders/);
    await jaeger.goto(new URL("/jaeger/search?service=orders&lookback=1h&limit=5", page.url()).href);
    await jaeger.waitForSelector(".ResultItem");
    await jaeger.goto(new URL("/jaeger/dependencies", page.url()).href);
    await jaeger.getByText("payments").first().waitFor(); // its layout is compiled WebAssembly
    assert.deepEqual(complaints, []);
    await page.context().close();
  });

  for (const scheme of ["dark", "light"]) {
    test(`has no accessibility finding (${scheme})`, async () => {
      await api("PATCH", `/api/mesh/chaos/${RULE}`, { enabled: true });
      const page = await open(browser, { scheme, path: "/#/edge/orders/payments" });
      await page.waitForSelector('.node[data-service="payments"]');
      await page.waitForSelector(".trace-row");
      await page.keyboard.press("c");
      await page.locator(".chaos .kind", { hasText: "delay" }).click();
      for (const summary of await page.locator(".chaos .section summary").all()) await summary.click();
      await page.locator(".scenario-head").first().click();
      assert.deepEqual(await findings(page), []);
      const { trace_id: id } = await until("a faulted trace", async () =>
        (await api("GET", "/api/mesh/traces?filter=faulted&limit=1"))[0]);
      await page.evaluate((hash) => { location.hash = hash; }, `#/trace/${id}`);
      await page.waitForSelector(".waterfall .span-row");
      await page.waitForTimeout(400); // the slide of the view is over
      assert.deepEqual(await findings(page), []);
      await api("POST", "/api/mesh/chaos/halt");
      await page.context().close();
    });
  }
});

const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

/** What axe finds against WCAG 2.2 A and AA. Its script is put in by the test, past the page's policy. */
async function findings(page) {
  await page.evaluate(await readFile(axe, "utf8"));
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, {
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
  }));
  return violations.map((found) => `${found.id}: ${found.nodes.slice(0, 3).map((node) => `${node.target.join(" ")} ${node.failureSummary?.split("\n")[1] ?? ""}`).join(" | ")}`);
}
