// How well what served this user predicted what they did next.

import { h } from "../dom.js";
import * as format from "../format.js";
import { card, empty, table } from "../parts.js";
import { timeline } from "../plot.js";

export function scoresCard({ judge, scores }) {
  if (!scores.length) {
    return card(
      "Score over time",
      {},
      empty(
        "Not scored yet",
        "A profile is scored when its user has done eight more things, and eight others near in time are there to tell apart from.",
      ),
    );
  }
  const mean = scores.reduce((sum, one) => sum + one.score, 0) / scores.length;
  const points = scores.map((one) => ({
    at: new Date(one.last_occurred_at),
    value: one.score,
    title: `Version ${one.version}, until ${format.time(one.last_occurred_at)}: ${format.score(one.score)}`,
  }));
  const label = `Score of ${format.countOf(scores.length, "window")}, from ${format.score(scores[0].score)} to ${format.score(scores.at(-1).score)}, mean ${format.score(mean)}; chance is 0.`;
  return card(
    "Score over time",
    { aside: h("span", { class: "small muted" }, `mean ${format.score(mean)}, judge ${judge}`) },
    h("p", { class: "muted small" }, "How far above chance each version predicted four interactions that it had not read."),
    timeline(label, [{ points }], { marks: firstOfVersions(scores) }),
    h("details", {}, h("summary", {}, "As a table"), table("Scores by window", COLUMNS, scores.toReversed())),
  );
}

function firstOfVersions(scores) {
  return scores
    .filter((one, number) => one.version !== scores[number - 1]?.version)
    .map((one) => ({ at: new Date(one.last_occurred_at), text: `v${one.version}` }));
}

const COLUMNS = [
  { title: "Window ends", kind: "when", cell: (one) => format.time(one.last_occurred_at) },
  { title: "Version", kind: "number", cell: (one) => one.version },
  { title: "Forward", kind: "number", cell: (one) => one.forward.toFixed(2) },
  { title: "Backward", kind: "number", cell: (one) => one.backward.toFixed(2) },
  { title: "Chance", kind: "number", cell: (one) => one.chance.toFixed(2) },
  { title: "Score", kind: "number", cell: (one) => format.score(one.score) },
];
