// What stands around every page: the bar with its links, the theme, the way out.

import { h, s } from "./dom.js";
import { notices } from "./notice.js";
import { to } from "./router.js";
import { session } from "./session.js";

const LINKS = [
  ["overview", "Overview"],
  ["users", "Users"],
  ["prompt", "Prompt"],
  ["queue", "Queue"],
  ["generators", "Generators"],
];
const THEMES = { system: "System theme", light: "Light theme", dark: "Dark theme" };

export const main = h("main", { class: "page", id: "main" });

export function brand(...under) {
  const mark = s(
    "svg",
    { viewBox: "0 0 32 32", "aria-hidden": "true" },
    s("rect", { width: 32, height: 32, rx: 8, fill: "#3345a8" }),
    s("path", { d: "M5 22c5 0 5.5-11 11-11s6 11 11 11", fill: "none", stroke: "#fff", "stroke-width": 3, "stroke-linecap": "round" }),
  );
  return h("div", { class: "brand" }, mark, h("span", {}, "Bump", under));
}

/** Shows the frame with an empty page; `leave` is called by who signs out. */
export function showFrame(leave) {
  const skip = h("a", { class: "skip", href: "#main" }, "Skip to the page");
  skip.addEventListener("click", (event) => {
    event.preventDefault();
    main.querySelector("h1")?.focus();
  });
  const links = LINKS.map(([name, title]) => h("li", {}, h("a", { href: to(name), "data-page": name }, title)));
  const foot = h(
    "div",
    { class: "foot" },
    h("span", { class: "caller small muted break" }, session.project.caller.replace(/^key:/, "Key ")),
    themeChoice(),
    session.key && h("button", { type: "button", class: "quiet", on: { click: leave } }, "Sign out"),
  );
  const name = brand(h("span", { class: "project small muted break" }, session.project.project_id));
  const pages = h("nav", { "aria-label": "Pages" }, h("ul", {}, links));
  const side = h("header", { class: "side" }, h("div", { class: "held" }, name, pages, foot));
  document.body.replaceChildren(skip, h("div", { class: "frame" }, side, main), notices);
}

export function markPage(name) {
  for (const link of document.querySelectorAll("[data-page]")) {
    if (link.dataset.page === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function themeChoice() {
  const root = document.documentElement;
  const choice = h(
    "select",
    { "aria-label": "Theme", class: "small" },
    Object.entries(THEMES).map(([value, title]) =>
      h("option", { value, selected: value === (root.dataset.theme ?? "system") }, title),
    ),
  );
  choice.addEventListener("change", () => {
    if (choice.value === "system") {
      delete root.dataset.theme;
      localStorage.removeItem("bump-theme");
    } else {
      root.dataset.theme = choice.value;
      localStorage.setItem("bump-theme", choice.value);
    }
  });
  return choice;
}
