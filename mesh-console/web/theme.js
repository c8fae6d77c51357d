// Not a module on purpose: it runs before the first paint, so that a chosen
// theme does not flash. Without a choice the page follows the system.
(() => {
  try {
    const theme = localStorage.getItem("glassmesh.theme");
    if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
  } catch {
    // Storage may be forbidden; the system's theme is fine then.
  }
})();
