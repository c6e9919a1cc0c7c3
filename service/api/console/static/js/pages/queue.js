// Which profiles wait to be written, which have given up and why, and how they are woken.

import { get, post } from "../api.js";
import { fill, h } from "../dom.js";
import * as format from "../format.js";
import { tell } from "../notice.js";
import { button, card, empty, heading, moment, table, tag } from "../parts.js";
import { follow } from "../polling.js";
import { to } from "../router.js";

const REFRESH_SECONDS = 3;
const LIMIT = 200;
const STATES = { all: "All", waiting: "Waiting", parked: "Parked" };
const NOTHING = {
  all: ["Nothing waits", "Every profile has been written. New interactions ask for new ones."],
  waiting: ["Nothing waits", "Every profile that is not parked has been written."],
  parked: ["Nothing is parked", "A regeneration that fails five times is parked here until somebody wakes it."],
};
const KINDS = { parked: "bad", running: "accent", due: "good", waiting: "" };
const PRIORITIES = ["asked for", "new interactions", "in the background"];

export async function queuePage({ query, signal }) {
  let state = query.get("state") in STATES ? query.get("state") : "all";
  const results = h("div", {});

  async function refresh() {
    const { regenerations } = await get("regenerations", { query: { state, limit: LIMIT }, signal });
    // What somebody is about to press must not move away from under them.
    if (!results.contains(document.activeElement) || document.activeElement.tagName === "DIV") {
      fill(results, listed(regenerations, state, wake));
    }
  }

  async function wake(userId = null) {
    const { requeued } = await post("regenerations/requeue", { user_id: userId });
    tell(requeued ? `${format.countOf(requeued, "profile")} will be written again.` : "Nothing was parked any more.");
    document.activeElement?.blur();
    await refresh();
  }

  const choice = h("div", { class: "choice", role: "group", "aria-label": "Show" });
  for (const [name, title] of Object.entries(STATES)) {
    const option = h("button", { type: "button", "aria-pressed": String(name === state) }, title);
    option.addEventListener("click", async () => {
      state = name;
      for (const other of choice.children) other.setAttribute("aria-pressed", String(other === option));
      await refresh();
    });
    choice.append(option);
  }
  await refresh();
  const control = follow(refresh, { seconds: REFRESH_SECONDS, signal });
  return [
    heading("Queue", {
      said: h("p", { class: "muted" }, "One row a user: more events change it, and never add to it."),
      actions: control,
    }),
    h(
      "div",
      { class: "heading" },
      choice,
      button("Requeue all parked", () => wake(), { busy: "Requeueing …" }),
    ),
    results,
  ];
}

function listed(jobs, state, wake) {
  if (!jobs.length) return card(STATES[state], {}, empty(...NOTHING[state]));
  const columns = [
    { title: "User", kind: "break", cell: (job) => h("a", { href: to("users", job.user_id) }, job.user_id) },
    { title: "State", cell: (job) => tag(job.state, KINDS[job.state]) },
    { title: "Why", kind: "wide", cell: (job) => PRIORITIES[job.priority] },
    { title: "Waits since", kind: "when wide", cell: (job) => moment(job.first_requested_at) },
    { title: "Attempts", kind: "number wide", cell: (job) => format.count(job.attempts) },
    { title: "Last error", kind: "break", cell: (job) => job.last_error ?? h("span", { class: "muted" }, "none") },
    {
      title: h("span", { class: "unseen" }, "Do"),
      kind: "do",
      cell: (job) =>
        job.state === "parked" &&
        button("Requeue", () => wake(job.user_id), { label: `Requeue ${job.user_id}`, busy: "Requeueing …" }),
    },
  ];
  const said = jobs.length === LIMIT ? `The first ${format.count(LIMIT)}` : format.countOf(jobs.length, "user");
  return card(STATES[state], { flush: true, aside: h("span", { class: "small muted" }, said) }, table("Regenerations", columns, jobs));
}
