// Who writes the project's profiles, and who could.

import { get } from "../api.js";
import { h } from "../dom.js";
import { card, empty, heading, moment, table, tag } from "../parts.js";
import { to } from "../router.js";
import { session } from "../session.js";

export const STATUS_KINDS = { serving: "good", candidate: "accent", retired: "" };

export async function generatorsPage({ signal }) {
  const { generators } = await get("generators", { signal });
  const serving = generators.find((one) => one.status === "serving");
  const writer = serving ? `${serving.name}, which was promoted` : `${session.project.generator}, by the settings`;
  return [
    heading("Generators", { said: h("p", { class: "muted" }, `Profiles are written by ${writer}.`) }),
    generators.length
      ? card("Registered", { flush: true }, table("Generators", COLUMNS, generators.toReversed()))
      : card(
          "Registered",
          {},
          empty(
            "No generator has been registered",
            "bump train extractive learns one from this project's own histories, and registers it as a candidate.",
            "It serves only once it has passed the gate: not worse than what serves now, on users that it has never seen.",
          ),
        ),
  ];
}

const COLUMNS = [
  { title: "Name", kind: "break", cell: (one) => h("a", { href: to("generators", one.name) }, one.name) },
  { title: "Status", cell: (one) => [tag(one.status, STATUS_KINDS[one.status]), one.evaluation_requested_by && [" ", tag("at the gate", "warn")]] },
  { title: "Kind", cell: (one) => one.kind },
  { title: "Registered", kind: "when wide", cell: (one) => moment(one.created_at) },
  { title: "Weights", kind: "wide break", cell: (one) => h("span", { class: "mono muted" }, one.base_model ?? one.artifact_uri) },
];
