// One generator: where it stands, on what evidence, and its next step.

import { get, post } from "../api.js";
import { confirmed } from "../dialog.js";
import { h } from "../dom.js";
import * as format from "../format.js";
import { tell } from "../notice.js";
import { button, card, empty, facts, failure, heading, moment, tag } from "../parts.js";
import { difference } from "../plot.js";
import { reload, to } from "../router.js";
import { STATUS_KINDS } from "./generators.js";

const STAGES = ["gate", "shadow", "share", "full"];
const NEXT = { shadow: "share", share: "full" };
const STAGE_MEANS = {
  shadow: "It writes beside the one that serves. Nobody sees it; both are scored on the same users.",
  share: "It serves its share of the users.",
  full: "It serves everybody.",
  withdrawn: "It was taken back.",
};
const DECISION_KINDS = { passed: "good", refused: "bad", moved: "accent", rolled_back: "warn" };

export async function generatorPage({ names: [name], signal }) {
  const path = `generators/${encodeURIComponent(name)}`;
  const { generator, deployment, trend, decisions } = await get(path, { signal });
  return [
    heading(generator.name, {
      back: h("a", { class: "small", href: to("generators") }, "Generators"),
      said: [
        h("div", {}, tag(generator.status, STATUS_KINDS[generator.status]), generator.evaluation_requested_by && [" ", tag("at the gate", "warn")]),
        facts([
          ["Kind", generator.kind],
          ["Registered", moment(generator.created_at)],
          ["Weights", h("span", { class: "mono break" }, generator.base_model ?? generator.artifact_uri)],
        ]),
      ],
      actions: steps(generator, deployment, path),
    }),
    generator.last_error && failure({ title: "It could not be loaded or evaluated last", detail: generator.last_error }),
    deployment && standing(deployment, trend),
    card("Decisions", {}, decisions.length ? decisions.toReversed().map(decided) : nothingDecided()),
    card("How it was made", {}, metrics(generator)),
  ];
}

function steps(generator, deployment, path) {
  const evaluate = button(
    "Put to the gate",
    async () => {
      await post(`${path}/evaluate`);
      tell("A worker will put it to the gate.");
      reload();
    },
    { busy: "Asking …", disabled: generator.status === "serving" },
  );
  const stage = deployment && deployment.stage !== "withdrawn" ? deployment.stage : "gate";
  const next = stage === "full" ? null : NEXT[stage] ?? "shadow";
  const promote = next && button(`Promote to ${next}`, () => promoted(generator, next, path), { kind: "primary", busy: "Promoting …" });
  const rollBack =
    deployment &&
    deployment.stage !== "withdrawn" &&
    button("Roll back", () => rolledBack(generator, deployment, path), { kind: "danger", busy: "Rolling back …" });
  return [evaluate, promote, rollBack];
}

async function promoted(generator, stage, path) {
  const goOn = await confirmed({
    title: `Promote ${generator.name} to ${stage}?`,
    said: [STAGE_MEANS[stage], "It is loaded beside what serves before anything changes. It can be rolled back."],
    action: `Promote to ${stage}`,
  });
  if (!goOn) return;
  const deployment = await post(`${path}/promote`, { stage });
  tell(`${generator.name} is at the stage ${deployment.stage}.`);
  reload();
}

async function rolledBack(generator, deployment, path) {
  const goOn = await confirmed({
    title: `Roll ${generator.name} back?`,
    said: [
      `${deployment.control ?? "The generator of the settings"} writes for everybody again.`,
      "What this one wrote is taken back user by user.",
    ],
    action: "Roll back",
    danger: true,
  });
  if (!goOn) return;
  await post(`${path}/rollback`);
  tell(`${generator.name} was taken back.`);
  reload();
}

function standing(deployment, trend) {
  const now = STAGES.indexOf(deployment.stage);
  return card(
    "Where it stands",
    { aside: h("span", { class: "small muted" }, "since ", moment(deployment.since)) },
    h(
      "ol",
      { class: "actions", "aria-label": "Stages" },
      STAGES.map((stage, number) =>
        h("li", { "aria-current": number === now ? "step" : null }, tag(stage, number === now ? "accent" : number < now ? "good" : "")),
      ),
      deployment.stage === "withdrawn" && h("li", { "aria-current": "step" }, tag("withdrawn", "warn")),
    ),
    h("p", {}, STAGE_MEANS[deployment.stage]),
    facts([
      ["Beside", deployment.control ?? "the generator of the settings"],
      ["Share of users", format.percent(deployment.share)],
      ["Tolerance", deployment.tolerance],
      ["Goes on by itself", deployment.automatic ? "yes" : "no"],
      ["Pairs compared", trend ? format.count(trend.pairs) : "0"],
      ["Difference so far", trend?.mean === null || !trend ? "–" : format.score(trend.mean)],
    ]),
  );
}

function nothingDecided() {
  return empty("Nothing has been decided yet", "Put it to the gate: a worker compares it with what serves now, on users whom neither has seen.");
}

function decided(decision) {
  const { evidence } = decision;
  return h(
    "article",
    { class: "decision" },
    h("div", {}, tag(decision.decision.replace("_", " "), DECISION_KINDS[decision.decision])),
    h(
      "div",
      { class: "told" },
      h("p", {}, moment(decision.decided_at), h("span", { class: "muted" }, ` by ${decision.actor}${path(decision)}`)),
      compared("Against what serves", evidence.against_serving, evidence.tolerance),
      // Where none was promoted yet, the best is what serves.
      evidence.against_best?.generator !== evidence.against_serving?.generator &&
        compared("Against the best ever promoted", evidence.against_best, evidence.tolerance),
      gateFacts(decision),
      Object.keys(evidence).length > 0 && h("details", {}, h("summary", {}, "Evidence as it was kept"), h("pre", {}, JSON.stringify(evidence, null, 2))),
    ),
  );
}

function path({ from_stage: from, to_stage: to_ }) {
  return to_ ? `, from ${from ?? "the gate"} to ${to_}` : "";
}

function compared(title, against, tolerance) {
  if (!against || typeof against.mean !== "number") return null;
  const { mean, lower_bound: lower = null } = against;
  const name = against.generator ?? "the generator of the settings";
  const least = lower === null ? "" : `, at least ${format.score(lower, 3)} where ${format.score(-tolerance, 3)} is asked for`;
  const figures = `${format.score(mean, 3)}${least}`;
  return h(
    "div",
    {},
    h("p", { class: "small" }, `${title} (${name}): `, h("span", { class: "number" }, figures)),
    lower !== null && difference(`${title}: ${figures}`, { mean, lower, limit: -tolerance }),
  );
}

function gateFacts({ evidence, attempt }) {
  if (evidence.users === undefined) return null;
  return facts([
    ["Users", format.count(evidence.users)],
    ["Judge", evidence.judge ?? "–"],
    ["Attempt", attempt ?? "not counted"],
    ["Allowed error", evidence.alpha ?? "–"],
    ["Reward", typeof evidence.reward === "number" ? evidence.reward.toFixed(3) : "–"],
  ]);
}

function metrics(generator) {
  if (!Object.keys(generator.metrics).length) return h("p", { class: "muted" }, "Nothing was noted with it.");
  return h("pre", {}, JSON.stringify(generator.metrics, null, 2));
}
