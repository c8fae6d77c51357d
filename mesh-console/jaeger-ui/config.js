// What Jaeger's query service writes into the page; here a file, because the page's
// content security policy runs no inline scripts.

// Some of the page's libraries expect it.
window.global = {};

function getJaegerUiConfig() {
  return {
    archiveEnabled: false,
    dependencies: { menuEnabled: true },
    monitor: { menuEnabled: false },
    qualityMetrics: { menuEnabled: false },
    search: { maxLookback: { label: "2 Days", value: "2d" }, maxLimit: 1500 },
    menu: [
      { label: "Mesh", url: "/" },
      { label: "Chaos", url: "/#/chaos" },
    ],
    // An event `mesh.fault` names its rule: from there to the toggle.
    linkPatterns: [
      { type: "logs", key: "rule", url: "/#/chaos/#{rule}", text: "Rule #{rule} in the console" },
      { type: "traces", url: "/#/trace/#{traceID}", text: "This trace in the console" },
    ],
  };
}

function getJaegerStorageCapabilities() {
  return { archiveStorage: false };
}

function getJaegerVersion() {
  return { gitCommit: "", gitVersion: "", buildDate: "" };
}
