// What was served before, what changed from one version to another, and the way back.

import { get, post } from "../api.js";
import { confirmed } from "../dialog.js";
import { fill, h } from "../dom.js";
import * as format from "../format.js";
import { complain, tell } from "../notice.js";
import { button, card, field, moment, table, tag } from "../parts.js";
import { reload } from "../router.js";
import { wordChanges } from "./wording.js";

const STATUS_KINDS = { serving: "good", quarantined: "bad", shadow: "accent", superseded: "" };
const TAGS = { same: "span", gone: "del", new: "ins" };

export function versionsCard(path, versions) {
  return card(
    "Versions",
    { flush: true, aside: h("span", { class: "small muted" }, format.countOf(versions.length, "version")) },
    table("Versions", columns(path), versions),
    versions.length > 1 && comparison(path, versions),
  );
}

function columns(path) {
  return [
    { title: "Version", cell: (one) => one.version },
    { title: "Status", cell: (one) => tag(one.status, STATUS_KINDS[one.status]) },
    { title: "Written", kind: "when wide", cell: (one) => moment(one.created_at) },
    { title: "By", kind: "wide", cell: (one) => (one.origin === "generated" ? one.generator : one.origin.replace("_", " ")) },
    { title: "Score", kind: "number", cell: (one) => format.score(one.scores?.score) },
    { title: "Tokens", kind: "number wide", cell: (one) => format.count(one.tokens) },
    {
      title: h("span", { class: "unseen" }, "Do"),
      kind: "do",
      cell: (one) =>
        one.status !== "serving" &&
        button("Serve again", () => rollBack(path, one), { kind: "quiet", busy: "Saving …", label: `Serve version ${one.version} again` }),
    },
  ];
}

async function rollBack(path, { version }) {
  const goOn = await confirmed({
    title: `Serve version ${version} again?`,
    said: ["What it said is served as a new version, until the history moves on. Corrections still apply."],
    action: "Serve it",
  });
  if (!goOn) return;
  const written = await post(path("/profile/rollback"), { version });
  tell(`Version ${written.version} serves what version ${version} said.`);
  reload();
}

function comparison(path, versions) {
  const choose = (chosen) =>
    h("select", {}, versions.map(({ version }) => h("option", { value: version, selected: version === chosen }, `Version ${version}`)));
  const from = choose(versions[1].version);
  const until = choose(versions[0].version);
  const result = h("div", { "aria-live": "polite" });
  const show = async () => {
    try {
      fill(result, changes(await get(path("/profile/diff"), { query: { from: from.value, to: until.value } })));
    } catch (problem) {
      complain(problem);
    }
  };
  from.addEventListener("change", show);
  until.addEventListener("change", show);
  show();
  return h(
    "div",
    { class: "compare stack" },
    h("div", { class: "fields" }, field("Changes from", from, { kind: "short" }), field("to", until, { kind: "short" })),
    result,
  );
}

function changes({ added, removed, changed, unchanged }) {
  const rows = [
    ...added.map((one) => change("Added", "good", h("p", {}, one.text))),
    ...removed.map((one) => change("Removed", "bad", h("p", {}, one.text))),
    ...changed.map(({ before, after }) => change("Reworded", "accent", h("p", {}, words(before.text, after.text)))),
  ];
  const same = h("p", { class: "muted small" }, rows.length ? `${format.countOf(unchanged, "statement")} unchanged.` : "They say the same.");
  return [h("ul", {}, rows), same];
}

const change = (title, kind, said) => h("li", { class: "change" }, h("div", {}, tag(title, kind)), said);

function words(before, after) {
  return wordChanges(before, after).map(({ kind, text }) => h(TAGS[kind], {}, text));
}
