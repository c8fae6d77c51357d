// Takes the README's picture of the console from a running mesh:
//   GLASSMESH_CONSOLE_URL=http://127.0.0.1:4090 npm run screenshot [-- FILE]
import { mkdir, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { api, launch, open, orders, restore, rulesInForce, until } from "./browser.mjs";

const file = resolve(process.argv[2] ?? fileURLToPath(new URL("../../docs/images/console.png", import.meta.url)));
const RULES = ["flaky-payments", "slow-inventory"];
/** Long enough for sparklines with a before and an after. */
const CALM_MS = 15000;
const STORM_MS = 25000;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

const before = await rulesInForce();
const traffic = orders();
const browser = await launch();
try {
  await api("POST", "/api/mesh/chaos/halt");
  const page = await open(browser, { width: 1600, height: 1000, scheme: "dark" });
  await page.waitForSelector('.node[data-service="payments"]');
  await pause(CALM_MS);
  for (const rule of RULES) await page.locator(`.chaos [data-rule="${rule}"]`).getByRole("switch").click();
  await page.getByRole("button", { name: "faulted" }).click();
  await pause(STORM_MS);
  await mkdir(dirname(file), { recursive: true });
  await page.screenshot({ path: file });
  const trace = file.replace(/\.png$/, "-trace.png");
  const { trace_id: id } = await until("an order that a retry saved", async () =>
    (await api("GET", "/api/mesh/traces?filter=retried&limit=50"))
      .find((each) => each.name.includes("/orders") && !each.failed && each.faults.join() === RULES[0]));
  await page.evaluate((hash) => { location.hash = hash; }, `#/trace/${id}`);
  await page.waitForSelector(".span-row.hit");
  await pause(5000);
  await page.screenshot({ path: trace });
  for (const each of [file, trace]) console.log(`${each} ${Math.round((await stat(each)).size / 1024)} KiB`);
} finally {
  await traffic.stop();
  await browser.close();
  await restore(before);
}
