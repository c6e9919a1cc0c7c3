// One user: the profile with its evidence, how it did, what it was before, and what people may do.

import { get, post, put, remove, userPath } from "../api.js";
import { confirmed } from "../dialog.js";
import { fill, h } from "../dom.js";
import * as format from "../format.js";
import { tell } from "../notice.js";
import { button, card, empty, facts, heading, moment, tag } from "../parts.js";
import { reload, to } from "../router.js";
import { session } from "../session.js";
import { main } from "../shell.js";
import { correctionsCard, corrector } from "../user/corrections.js";
import { historyCard } from "../user/history.js";
import { scoresCard } from "../user/scores.js";
import { profileCard } from "../user/statements.js";
import { versionsCard } from "../user/versions.js";

const VERSIONS = 50;
const WAIT_SECONDS = 25;

export async function userPage({ names: [userId], signal }) {
  const path = (rest = "") => userPath(userId, rest);
  const [user, corrections] = await Promise.all([
    get(path(), { signal }),
    get(path("/profile/corrections"), { signal }),
  ]);
  const shown = user.profiling === "on" && user.newest_version !== null;
  const { versions } = shown
    ? await get(path("/profile/versions"), { query: { limit: VERSIONS }, signal })
    : { versions: [] };
  const serving = versions.find((version) => version.status === "serving");
  const correct = corrector(path);
  return [
    userHeading(user, serving, path),
    ...(serving
      ? await ofProfile({ path, serving, versions, correct, signal })
      : [card("Profile", {}, whyNone(user))]),
    h(
      "div",
      { class: "two" },
      correctionsCard(corrections, versions, correct),
      await historyCard(path, signal),
    ),
  ];
}

async function ofProfile({ path, serving, versions, correct, signal }) {
  const [evidence, scores] = await Promise.all([
    get(path(`/profile/versions/${serving.version}/evidence`), { signal }),
    get(path("/profile/scores"), { signal }),
  ]);
  return [
    profileCard(serving, evidence.interactions, correct, signal),
    scoresCard(scores),
    versionsCard(path, versions),
  ];
}

function userHeading(user, serving, path) {
  const stale = serving && serving.revision < user.revision;
  const paused = user.profiling === "paused";
  return heading(user.user_id, {
    back: h("a", { class: "small", href: to("users") }, "Users"),
    said: [
      h("p", {}, paused && [tag("paused", "warn"), " "], stale && [tag("behind", "warn"), " "], h("span", { class: "muted" }, sentence(user.verdict))),
      facts([
        ["Interactions", format.count(user.interaction_count)],
        ["Revision", user.revision],
        ["First seen", format.date(user.first_seen_at)],
        ["Last seen", moment(user.last_seen_at)],
      ]),
    ],
    actions: [
      button("Regenerate", () => regenerate(path), { kind: "primary", busy: "Writing …", disabled: paused }),
      h("a", { class: "button", href: `${to("prompt")}?${new URLSearchParams({ user: user.user_id })}` }, "Try a prompt"),
      button(paused ? "Resume profiling" : "Pause profiling", () => setProfiling(user, path, paused), { busy: "Saving …" }),
      button("Erase …", () => erase(user, path), { kind: "danger", busy: "Erasing …" }),
    ],
  });
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

function whyNone(user) {
  if (user.profiling === "paused") {
    return empty("Profiling is paused", "No profile is written or served for this user until it is resumed.");
  }
  const few = user.interaction_count < session.project.min_interactions;
  return empty(
    "No profile serves",
    few ? `A profile needs ${session.project.min_interactions} interactions.` : "A worker writes one as soon as it comes to this user.",
  );
}

async function regenerate(path) {
  const { done, version } = await post(path("/profile/regenerate"), undefined, { query: { wait: WAIT_SECONDS } });
  tell(done ? `Done: version ${version ?? "none"} serves.` : "It was asked for; no worker has come to it yet.");
  reload();
}

async function setProfiling(user, path, paused) {
  if (!paused) {
    const goOn = await confirmed({
      title: "Pause profiling?",
      said: [`No profile of ${user.user_id} is written or served until it is resumed. What is stored stays.`],
      action: "Pause profiling",
    });
    if (!goOn) return;
  }
  await put(path("/profiling"), { profiling: paused ? "on" : "paused" });
  tell(paused ? "Profiling is on again." : "Profiling is paused.");
  reload();
}

async function erase(user, path) {
  const goOn = await confirmed({
    title: "Erase this user?",
    said: [
      `The history, every profile version, corrections, jobs and cached copies of ${user.user_id} are deleted. This cannot be undone.`,
      "A receipt is kept, without the id.",
    ],
    action: "Erase for ever",
    danger: true,
    typed: user.user_id,
  });
  if (!goOn) return;
  const receipt = await remove(path());
  document.title = "Erased · Bump";
  fill(main, erased(receipt));
  main.querySelector("h1").focus();
}

function erased(receipt) {
  return [
    heading("Erased", { back: h("a", { class: "small", href: to("users") }, "Users") }),
    card(
      "Receipt",
      {},
      h("p", { class: "muted" }, "Keep it: it proves the erasure, and the user's id is nowhere any more."),
      h("pre", {}, JSON.stringify(receipt, null, 2)),
      button("Copy", async () => {
        await navigator.clipboard.writeText(JSON.stringify(receipt));
        tell("Copied.");
      }),
    ),
  ];
}
