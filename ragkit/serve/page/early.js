// Runs before the page is drawn, so that it never flashes in the other theme.
(() => {
  let kept = {};
  try {
    kept = JSON.parse(localStorage.getItem("ragkit.settings")) || {};
  } catch {
    // No storage, or not ours: the page begins as the system wants it.
  }
  const theme = kept.theme === "light" || kept.theme === "dark" ? kept.theme : "";
  if (theme) document.documentElement.dataset.theme = theme;
})();
