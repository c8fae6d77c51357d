// The console's event stream, and an honest word when it falls silent.
import { api } from "./api.js";
import { addActivity, set, setChaos, setOverview, setScenarios, state } from "./store.js";

/** Overviews come each second; after this silence the page says that it is old. */
const STALE_AFTER_MS = 4000;
const RETRY_MS = 1000;

let source = null;

/** Opens the stream and keeps it open for as long as the page lives. */
export function start() {
  connect();
  setInterval(watch, 1000);
}

function connect() {
  source = new EventSource("/api/mesh/events");
  source.onopen = catchUp;
  source.onerror = () => {
    set({ link: "gone" });
    // The browser retries by itself after a broken connection, but not after an
    // answer that is no event stream.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, RETRY_MS);
  };
  on("overview", setOverview);
  on("chaos", setChaos);
  on("activity", addActivity);
  on("scenarios", setScenarios);
}

function on(name, take) {
  source.addEventListener(name, (event) => {
    try {
      take(JSON.parse(event.data));
    } catch (error) {
      console.error(`event ${name} of the console could not be used`, error);
    }
  });
}

/** What the stream may not repeat for a newcomer. */
async function catchUp() {
  const [overview, chaos, activity, scenarios] = await Promise.allSettled([api.overview(), api.chaos(), api.activity(), api.scenarios()]);
  if (overview.status === "fulfilled") setOverview(overview.value);
  if (chaos.status === "fulfilled") setChaos(chaos.value);
  if (activity.status === "fulfilled") addActivity(activity.value);
  if (scenarios.status === "fulfilled") setScenarios(scenarios.value);
}

function watch() {
  const silent = Date.now() - state.overviewAt > STALE_AFTER_MS;
  if (state.link === "live" && silent) set({ link: "stale" });
  else if (state.link === "gone") set({}); // "last seen … ago" moves on
}
