// What people said about a profile. It outranks every generator, for ever.

import { get, put } from "../api.js";
import { h } from "../dom.js";
import { tell } from "../notice.js";
import { button, card, empty, field } from "../parts.js";
import { reload } from "../router.js";

const MAX_CHARS = 400;

/** What can be done to the corrections; each works on the set as it is then, and puts it whole. */
export function corrector(path) {
  async function change(revise, said) {
    const set = await get(path("/profile/corrections"));
    await put(path("/profile/corrections"), revise(set));
    tell(said);
    reload();
  }
  const without = (list, entry) => list.filter((other) => other !== entry);
  return {
    pin: (text) =>
      change((set) => ({ ...set, pinned: [...without(set.pinned, text), text] }), "Pinned: it stands first from now on."),
    unpin: (text) => change((set) => ({ ...set, pinned: without(set.pinned, text) }), "Unpinned."),
    suppress: (statement) =>
      change((set) => ({ ...set, suppressed: [...without(set.suppressed, statement.id), statement.id] }), "Suppressed: it will not come back."),
    allow: (entry) =>
      change((set) => ({ ...set, suppressed: without(set.suppressed, entry) }), "Allowed: it may come back with the next version."),
    replace: (statement, text) =>
      change((set) => replaced(set, statement, text, without), "Saved: your sentence replaces the statement."),
  };
}

function replaced(set, statement, text, without) {
  if (statement.kind === "pinned") {
    return { ...set, pinned: set.pinned.map((other) => (other === statement.text ? text : other)) };
  }
  return {
    pinned: [...without(set.pinned, text), text],
    suppressed: [...without(set.suppressed, statement.id), statement.id],
  };
}

export function correctionsCard(corrections, versions, correct) {
  const { pinned, suppressed } = corrections;
  // Suppressed is what a statement is about, by its id; people want to read what it said.
  const texts = new Map(versions.toReversed().flatMap((version) => version.statements.map((one) => [one.id, one.text])));
  const rows = [
    ...pinned.map((text) => row(text, "Unpin", () => correct.unpin(text), "pinned")),
    ...suppressed.map((entry) => row(texts.get(entry) ?? entry, "Allow again", () => correct.allow(entry), "suppressed")),
  ];
  return card(
    "Corrections",
    {},
    h("p", { class: "muted small" }, "What people say outranks every generator, for ever."),
    rows.length ? h("ul", {}, rows) : empty("Nothing was corrected", "Pin, edit or suppress a statement, or add a sentence of your own."),
    sentenceForm(correct),
  );
}

function row(text, action, work, kind) {
  return h(
    "li",
    { class: "correction" },
    h("span", { class: "break" }, h("span", { class: "muted small" }, `${kind} `), text),
    button(action, work, { kind: "quiet", busy: "Saving …", label: `${action}: ${text}` }),
  );
}

function sentenceForm(correct) {
  const input = h("input", { maxlength: MAX_CHARS, required: true, autocomplete: "off", placeholder: "Is allergic to nuts." });
  const form = h("form", { class: "fields" }, field("Pin a sentence", input));
  const save = button("Pin", async () => {
    if (form.reportValidity()) await correct.pin(input.value.trim());
  }, { busy: "Saving …" });
  form.append(save);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    save.click();
  });
  return form;
}
