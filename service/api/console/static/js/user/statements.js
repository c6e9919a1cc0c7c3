// The profile, statement by statement. Pointing at one, or coming to it by keyboard, shows the
// interactions behind it: beside the profile, or below the statement where the page is narrow.

import { fill, h } from "../dom.js";
import * as format from "../format.js";
import { button, card, empty, moment, tag } from "../parts.js";
import { byKey, evidenceOf } from "./evidence.js";

const NARROW = matchMedia("(max-width: 66rem)");
const MAX_CHARS = 400;

export function profileCard(profile, interactions, correct, signal) {
  const known = byKey(interactions);
  const held = h("div", { class: "held" });
  const panel = h("div", { class: "evidence", role: "region", "aria-label": "Evidence" }, held);
  const items = [];
  const grid = h("div", { class: "profile" });
  let chosen = null;

  function choose(item, statement) {
    if (chosen === item) return;
    chosen = item;
    for (const other of items) {
      other.classList.toggle("chosen", other === item);
      other.querySelector("[aria-expanded]")?.setAttribute("aria-expanded", String(other === item));
    }
    fill(held, evidenceOf(statement, known));
    place();
  }

  function place() {
    if (NARROW.matches && chosen) chosen.append(panel);
    else grid.append(panel);
  }

  for (const statement of profile.statements) {
    items.push(statementItem(statement, correct, choose));
  }
  grid.append(h("ol", { class: "statements" }, items), panel);
  const first = Math.max(0, profile.statements.findIndex((one) => one.evidence.length));
  if (!NARROW.matches && items.length) choose(items[first], profile.statements[first]);
  NARROW.addEventListener("change", place, { signal });
  return card(
    "Profile",
    { flush: true, label: h("span", { class: "muted small" }, ` version ${profile.version}`), aside: about(profile) },
    profile.statements.length ? grid : empty("It says nothing", "Every statement is suppressed."),
  );
}

function about(profile) {
  return h(
    "span",
    { class: "small muted" },
    `${profile.generator} · `,
    moment(profile.created_at),
    ` · ${format.countOf(profile.tokens, "token")} · `,
    h("span", { title: "how far above chance it predicted what came next" }, profile.scores ? `score ${format.score(profile.scores.score)}` : "not scored yet"),
  );
}

function statementItem(statement, correct, choose) {
  const said = h("p", {}, statement.text);
  const pinned = statement.kind === "pinned";
  const count = statement.evidence.length;
  const item = h("li", { class: "statement" });
  const show = () => choose(item, statement);
  const evidence = count > 0 && h(
    "button",
    { type: "button", class: "quiet", "aria-expanded": "false", on: { click: show } },
    format.countOf(count, "interaction"),
  );
  const doing = (text, work, options = {}) =>
    button(text, work, { kind: "quiet", busy: "Saving …", label: `${text}: ${statement.text}`, ...options });
  const under = h(
    "div",
    { class: "under" },
    tag(statement.kind, pinned ? "accent" : ""),
    evidence,
    pinned
      ? doing("Unpin", () => correct.unpin(statement.text))
      : doing("Pin", () => correct.pin(statement.text)),
    doing("Edit", () => edit(item, said, under, statement, correct)),
    !pinned && doing("Suppress", () => correct.suppress(statement), { kind: "quiet danger" }),
  );
  item.append(said, under);
  // Narrow, what opens below the pointer would push away what it points at: a press opens it.
  item.addEventListener("pointerenter", () => !NARROW.matches && show());
  item.addEventListener("focusin", () => !NARROW.matches && show());
  return item;
}

function edit(item, said, under, statement, correct) {
  const text = h("textarea", { maxlength: MAX_CHARS, rows: 3, required: true, "aria-label": "The statement in your words" });
  text.value = statement.text;
  const form = h(
    "form",
    {},
    text,
    h("p", { class: "hint" }, "Your sentence is pinned, and replaces this statement for ever."),
  );
  const save = button("Save", async () => {
    if (form.reportValidity()) await correct.replace(statement, text.value.trim());
  }, { kind: "primary", busy: "Saving …" });
  const cancel = h("button", { type: "button" }, "Cancel");
  form.append(h("div", { class: "actions" }, save, cancel));
  form.addEventListener("submit", (event) => event.preventDefault());
  const close = () => {
    form.replaceWith(said);
    under.hidden = false;
    under.querySelector("button").focus();
  };
  cancel.addEventListener("click", close);
  form.addEventListener("keydown", (event) => event.key === "Escape" && close());
  said.replaceWith(form);
  under.hidden = true;
  text.focus();
}
