// What comes in, how fresh the profiles are, and how well they predict.

import { get } from "../api.js";
import { fill, h } from "../dom.js";
import * as format from "../format.js";
import { card, empty, facts, heading, table } from "../parts.js";
import { bars, key, timeline } from "../plot.js";
import { follow } from "../polling.js";
import { to } from "../router.js";
import { session } from "../session.js";

const REFRESH_SECONDS = 2;
const RATE_SPANS = 2;
const WORST = 6;

export async function overviewPage({ signal }) {
  const [activity, quality] = await Promise.all([
    get("project/activity", { signal }),
    get("project/quality", { query: { worst: WORST }, signal }),
  ]);
  const now = h("div", { class: "sections" });
  const show = (found) => fill(now, figures(found), arrivals(found));
  show(activity);
  const control = follow(async () => show(await get("project/activity", { signal })), {
    seconds: REFRESH_SECONDS,
    signal,
  });
  return [
    heading("Overview", {
      said: h("p", { class: "muted" }, `Project ${session.project.project_id}`),
      actions: control,
    }),
    now,
    ...(quality.generators.length ? scored(quality) : [unscored()]),
  ];
}

function figures({ arrivals, span_seconds, freshness }) {
  // The newest span has only begun: the rate is that of the spans before it.
  const recent = arrivals?.slice(-1 - RATE_SPANS, -1).reduce((sum, span) => sum + span.count, 0);
  const rate = arrivals ? format.count(Math.round((recent / RATE_SPANS / span_seconds) * 10) / 10) : "–";
  return h(
    "dl",
    { class: "figures" },
    figure("Interactions a second", rate, arrivals ? `over the last ${RATE_SPANS * span_seconds} s` : "Redis does not answer"),
    figure(
      "Oldest unread",
      format.duration(freshness.oldest_seconds),
      freshness.oldest_seconds < 1 ? "every profile has read everything" : "since an interaction waits for a profile",
    ),
    figure("Profiles to write", format.count(freshness.waiting + freshness.running), `${format.count(freshness.running)} running now`),
    figure(
      "Parked",
      format.count(freshness.parked),
      freshness.parked ? h("a", { href: to("queue") }, "See why") : "nothing has given up",
    ),
  );
}

function figure(name, value, note) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, value), h("dd", { class: "note" }, note));
}

function arrivals({ arrivals: spans, span_seconds }) {
  if (!spans) return null;
  const counts = spans.map((span) => span.count);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const label = `${format.countOf(total, "interaction")} came in during the last five minutes`;
  return card(
    "Ingest",
    { aside: h("span", { class: "small muted number" }, `${format.count(total)} in five minutes`) },
    total
      ? bars(label, counts, { from: `${format.duration(spans.length * span_seconds)} ago`, to: "now" })
      : empty("Quiet", "Nothing came in over HTTP during the last five minutes."),
  );
}

function unscored() {
  return card(
    "Quality",
    {},
    empty(
      "No profile has been scored yet",
      "A profile is scored on what its user does after it was written: eight more interactions, and eight other users to tell apart from.",
    ),
  );
}

function scored({ judge, generators, worst_users: worst, days }) {
  const names = [...new Set(days.map((day) => day.generator))];
  const series = names.map((name) => ({
    name,
    points: days
      .filter((day) => day.generator === name)
      .map((day) => ({
        at: new Date(`${day.day}T00:00:00`),
        value: day.score,
        title: `${name}, ${day.day}: ${format.score(day.score)} over ${format.countOf(day.windows, "window")}`,
      })),
  }));
  const label = `Mean score by day of ${names.join(", ")}`;
  return [
    card(
      "Quality",
      { aside: h("span", { class: "small muted" }, `last 30 days, judge ${judge}`) },
      h("p", { class: "muted small" }, "How far above chance profiles predicted what their users did next. No labels are needed."),
      new Set(days.map((day) => day.day)).size > 1 ? timeline(label, series) : oneDay(days),
      names.length > 1 && key(names),
    ),
    h(
      "div",
      { class: "two" },
      card("By generator", { flush: true }, table("Scores by generator", GENERATOR_COLUMNS, generators)),
      card("Predicted worst", { flush: true }, table("Users with the lowest scores", USER_COLUMNS, worst)),
    ),
  ];
}

/** A line needs two days. */
function oneDay(days) {
  return facts(days.map((one) => [one.generator, `${format.score(one.score)} over ${format.countOf(one.windows, "window")}`]));
}

const GENERATOR_COLUMNS = [
  { title: "Generator", cell: (row) => [row.generator, row.status === "shadow" && h("span", { class: "muted" }, " (shadow)")] },
  { title: "Users", kind: "number", cell: (row) => format.count(row.users) },
  { title: "Windows", kind: "number", cell: (row) => format.count(row.windows) },
  { title: "Score", kind: "number", cell: (row) => format.score(row.score) },
];
const USER_COLUMNS = [
  { title: "User", kind: "break", cell: (row) => h("a", { href: to("users", row.user_id) }, row.user_id) },
  { title: "Windows", kind: "number", cell: (row) => format.count(row.windows) },
  { title: "Score", kind: "number", cell: (row) => format.score(row.score) },
];
