// The console's page in a real browser, against a mesh that runs already:
//   GLASSMESH_CONSOLE_URL=http://127.0.0.1:4090 GLASSMESH_SHOP_URL=http://127.0.0.1:4080 npm test
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { api, launch, open, orders, relay, restore, rulesInForce, until } from "./browser.mjs";

const SERVICES = ["gateway", "users", "products", "inventory", "orders", "payments", "notifications"];
const RULE = "flaky-payments";

describe("the console's page", { timeout: 240000 }, () => {
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

  test("a rule can be made, is refused with reasons, and is removed with a way back", async () => {
    const page = await open(browser, { path: "/#/edge/orders/users" });
    await page.getByRole("button", { name: "Break this call" }).click();
    const form = page.locator(".inspector .rule-form");
    await form.getByRole("button", { name: "delay" }).click();
    await form.getByLabel("wait").fill("25");
    await form.getByLabel("Name").fill("Not An Id");
    await form.getByRole("button", { name: "Keep, switched off" }).click();
    await form.locator(".problems").waitFor();
    assert.match(await form.locator(".problems").textContent(), /Not An Id/);
    await form.getByLabel("Name").fill("made-by-test");
    assert.match(await form.locator(".preview").textContent(), /calls from orders to users wait 25\sms longer/);
    await form.getByRole("button", { name: "Keep, switched off" }).click();
    const card = page.locator('.chaos [data-rule="made-by-test"]');
    await card.waitFor();
    assert.equal(await card.getByRole("switch").getAttribute("aria-checked"), "false");
    await card.getByRole("button", { name: "Remove made-by-test" }).click();
    await card.waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Undo" }).click();
    await card.waitFor();
    await api("DELETE", "/api/mesh/chaos/made-by-test");
    await card.waitFor({ state: "detached" });
    const refusals = page.complaints.filter((complaint) => !/status of 4\d\d/.test(complaint));
    assert.deepEqual(refusals, []);
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
    assert.match(await page.textContent(".banner"), /Console unreachable, traffic flows on/);
    await way.mend();
    await page.waitForSelector('#live[data-link="live"]');
    assert.equal(await page.locator(".banner").isVisible(), false);
    await page.context().close();
    await way.close();
  });

  for (const scheme of ["dark", "light"]) {
    test(`has no accessibility finding (${scheme})`, async () => {
      await api("PATCH", `/api/mesh/chaos/${RULE}`, { enabled: true });
      const page = await open(browser, { scheme, path: "/#/edge/orders/payments" });
      await page.waitForSelector('.node[data-service="payments"]');
      await page.waitForSelector(".trace-row");
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
