// The interactions that support one statement.

import { h } from "../dom.js";
import * as format from "../format.js";

const name = (source, eventId) => JSON.stringify([source, eventId]);

/** Interactions by what names them. */
export function byKey(interactions) {
  return new Map(interactions.map((one) => [name(one.source, one.event_id), one]));
}

/** The panel's content; newest first. */
export function evidenceOf(statement, known) {
  const found = statement.evidence.map((key) => known.get(name(key.source, key.event_id))).filter(Boolean).toReversed();
  const gone = statement.evidence.length - found.length;
  return [
    h("h3", {}, statement.evidence.length ? `Supported by ${format.countOf(statement.evidence.length, "interaction")}` : "Said by a person"),
    h("ol", {}, found.map(interactionItem)),
    statement.evidence.length === 0 && h("p", { class: "muted small" }, "A pinned sentence needs no evidence: it outranks every generator."),
    gone > 0 && h("p", { class: "muted small" }, `${format.count(gone)} of them are no longer held.`),
  ];
}

export function interactionItem(one) {
  return h(
    "li",
    { class: "interaction" },
    h(
      "div",
      { class: "about" },
      h("time", { datetime: one.occurred_at }, format.time(one.occurred_at)),
      h("span", {}, one.type),
      h("span", { class: "break" }, `${one.source} · ${one.event_id}`),
    ),
    h("p", {}, one.text || JSON.stringify(one.attributes)),
  );
}
