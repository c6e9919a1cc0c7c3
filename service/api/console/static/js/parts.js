// The parts that several pages are made of.

import { h } from "./dom.js";
import { complain, forget } from "./notice.js";
import * as format from "./format.js";

let numbered = 0;
export const newId = (name) => `${name}-${++numbered}`;

/** A section with a heading; `aside` stands at its right. `flush`: tables reach the edges. */
export function card(title, { aside = null, flush = false, label = null } = {}, ...children) {
  const id = newId("section");
  return h(
    "section",
    { class: "card", "aria-labelledby": id },
    h("div", { class: "top" }, h("h2", { id }, title, label), aside),
    h("div", { class: flush ? "body flush" : "body stack" }, children),
  );
}

export function heading(title, { said = [], actions = [], back = null } = {}) {
  return h(
    "div",
    { class: "heading" },
    h("div", { class: "said" }, back, h("h1", { tabindex: "-1" }, title), said),
    h("div", { class: "actions" }, actions),
  );
}

/** A button that runs `work`, is busy meanwhile, and says what went wrong. */
export function button(text, work, { kind = "", busy = text, label = null, disabled = false } = {}) {
  const element = h("button", { type: "button", class: kind, "aria-label": label, disabled }, text);
  element.addEventListener("click", async () => {
    if (element.getAttribute("aria-busy")) return;
    await busyWhile(element, busy, work);
  });
  return element;
}

export async function busyWhile(element, busy, work) {
  const text = element.textContent;
  element.setAttribute("aria-busy", "true");
  element.textContent = busy;
  try {
    forget();
    await work();
  } catch (problem) {
    complain(problem);
  } finally {
    element.removeAttribute("aria-busy");
    element.textContent = text;
  }
}

export const tag = (text, kind = "") => h("span", { class: `tag ${kind}` }, text);

/** What is said where there is nothing to show, and what to do about it. */
export function empty(title, ...said) {
  return h("div", { class: "empty" }, h("strong", {}, title), said.map((text) => h("p", {}, text)));
}

export function failure(problem) {
  return h("div", { class: "failure" }, h("strong", {}, problem.title ?? "Error"), problem.detail ?? problem.message);
}

/** A table; `columns`: [{title, kind, cell(row)}]. The first cell of a row is its heading. */
export function table(caption, columns, rows) {
  const head = columns.map(({ title, kind = "" }) => h("th", { scope: "col", class: kind }, title));
  const body = rows.map((row) =>
    h(
      "tr",
      {},
      columns.map(({ kind = "", cell }, number) =>
        number ? h("td", { class: kind }, cell(row)) : h("th", { scope: "row", class: kind }, cell(row)),
      ),
    ),
  );
  return scrolling(
    h("table", {}, h("caption", { class: "unseen" }, caption), h("thead", {}, h("tr", {}, head)), h("tbody", {}, body)),
    caption,
  );
}

/** Where it is too wide for the page, it can be scrolled by keyboard as well. */
function scrolling(child, name) {
  const held = h("div", { class: "scroll", role: "group", "aria-label": name }, child);
  new ResizeObserver(() => {
    if (held.scrollWidth > held.clientWidth) held.tabIndex = 0;
    else held.removeAttribute("tabindex");
  }).observe(held);
  return held;
}

export function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

/** A moment: how long ago, and exactly when on hover. */
export function moment(text) {
  return h("time", { datetime: text, title: format.time(text) }, format.ago(text));
}

export function field(label, control, { hint = null, kind = "" } = {}) {
  const id = newId("field");
  control.id = id;
  const note = hint && h("p", { class: "hint", id: `${id}-hint` }, hint);
  if (note) control.setAttribute("aria-describedby", note.id);
  return h("div", { class: `field ${kind}` }, h("label", { for: id }, label), control, note);
}
