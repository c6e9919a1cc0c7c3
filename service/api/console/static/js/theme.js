// Runs before the first paint, so that nothing flashes in the wrong colours.
const chosen = localStorage.getItem("bump-theme");
if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
