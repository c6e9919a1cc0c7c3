// The users of the project, found by the beginning of their ids.

import { get } from "../api.js";
import { fill, h } from "../dom.js";
import * as format from "../format.js";
import { complain } from "../notice.js";
import { busyWhile, card, empty, field, heading, moment, table, tag } from "../parts.js";
import { to } from "../router.js";
import { session } from "../session.js";

const PAGE_SIZE = 50;
const TYPING_MS = 200;

export async function usersPage({ query, signal }) {
  const search = h("input", { type: "search", value: query.get("prefix") ?? "", autocomplete: "off", spellcheck: "false", placeholder: "All users" });
  const results = h("div", {});
  let asked = 0;

  async function find() {
    const mine = ++asked;
    const prefix = search.value;
    const page = await get("users", { query: { prefix, limit: PAGE_SIZE }, signal });
    if (mine === asked) showUsers(results, page, prefix, signal);
  }

  let typing = 0;
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => find().catch(complain), TYPING_MS);
  });
  await find();
  return [
    heading("Users"),
    h("form", { role: "search", class: "search", on: { submit: (event) => event.preventDefault() } }, field("Id begins with", search)),
    results,
  ];
}

function showUsers(results, page, prefix, signal) {
  const users = page.users;
  if (!users.length) {
    fill(results, card(prefix ? "No such user" : "No users yet", {}, nobody(prefix)));
    return;
  }
  let cursor = page.next_cursor;
  const held = h("div", {});
  const more = h("button", { type: "button" }, "Show more");
  const said = h("span", { class: "small muted number", role: "status" });
  const show = () => {
    fill(held, table("Users", COLUMNS, users));
    said.textContent = cursor ? `The first ${format.count(users.length)}` : format.countOf(users.length, "user");
    more.hidden = !cursor;
  };
  more.addEventListener("click", () =>
    busyWhile(more, "Loading …", async () => {
      const next = await get("users", { query: { prefix, cursor, limit: PAGE_SIZE }, signal });
      users.push(...next.users);
      cursor = next.next_cursor;
      show();
    }),
  );
  show();
  fill(results, card("Users", { flush: true, aside: said }, held, h("div", { class: "empty", hidden: !cursor }, more)));
}

function nobody(prefix) {
  return prefix
    ? empty("Nobody's id begins like that", "Capitals count, and only the beginning of the id is looked at.")
    : empty("Nothing has come in yet", "POST what your users do to /v1/interactions: the README shows how in one call.");
}

const COLUMNS = [
  { title: "User", kind: "break", cell: (user) => h("a", { href: to("users", user.user_id) }, user.user_id) },
  { title: "Profile", cell: profileOf },
  { title: "Score", kind: "number", cell: (user) => scoreOf(user) },
  { title: "Interactions", kind: "number wide", cell: (user) => format.count(user.interaction_count) },
  { title: "Last seen", kind: "when wide", cell: (user) => moment(user.last_seen_at) },
  { title: "Written by", kind: "wide", cell: (user) => user.generator ?? "–" },
];

function profileOf(user) {
  if (user.profiling === "paused") return tag("paused", "warn");
  if (user.profile_version === null) {
    const few = user.interaction_count < session.project.min_interactions;
    return tag(few ? "too few interactions" : "to be written");
  }
  const stale = user.profile_revision < user.revision;
  return [`Version ${user.profile_version} `, stale ? tag("behind", "warn") : null];
}

function scoreOf(user) {
  if (user.score === null) return h("span", { class: "muted", title: "Not scored yet" }, "–");
  return h("span", { title: `mean over ${format.countOf(user.windows, "window")}` }, format.score(user.score));
}
