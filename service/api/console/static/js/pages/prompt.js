// What a model gets for a question, with the profile marked; and what was put in for an answer of
// before, by the version that it named.

import { post } from "../api.js";
import { fill, h } from "../dom.js";
import * as format from "../format.js";
import { busyWhile, card, empty, facts, field, heading, tag } from "../parts.js";
import { to } from "../router.js";

const START = "<user_profile>";
const END = "</user_profile>";

export async function promptPage({ query, signal }) {
  const user = h("input", { name: "user", required: true, value: query.get("user") ?? "", autocomplete: "off", spellcheck: "false" });
  const version = h("input", { name: "version", inputmode: "numeric", pattern: "[0-9]*", value: query.get("version") ?? "", placeholder: "serving", autocomplete: "off" });
  const question = h("textarea", { name: "question", required: true, rows: 3 });
  question.value = query.get("input") ?? "What should I do this weekend?";
  const show = h("button", { type: "submit", class: "primary" }, "Show the prompt");
  const ask = h("button", { type: "button" }, "Ask the model");
  const results = h("div", { "aria-live": "polite", class: "stack" });

  const body = () => ({ user_id: user.value, input: question.value });
  async function assemble() {
    const asked = version.value ? { ...body(), profile_version: Number(version.value) } : body();
    const prompt = await post("personalize/prompt", asked, { signal });
    fill(results, promptCard(prompt, user.value));
    return prompt;
  }
  async function answer() {
    const given = await post("personalize", body(), { signal });
    const prompt = await post("personalize/prompt", { ...body(), ...versionOf(given) }, { signal });
    fill(results, answerCard(given), promptCard(prompt, user.value));
  }

  const form = h(
    "form",
    { class: "stack" },
    h(
      "div",
      { class: "fields" },
      field("User", user),
      field("Profile version", version, { kind: "short" }),
    ),
    field("What the user asks", question, {
      hint: "For an answer of before: ask the same with the version in its X-Bump-Profile-Version header or its profile_version.",
    }),
    h("div", { class: "actions" }, show, ask),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busyWhile(show, "Assembling …", assemble);
  });
  ask.addEventListener("click", () => {
    if (form.reportValidity()) busyWhile(ask, "Asking …", answer);
  });
  fill(results, card("Prompt", {}, empty("Nothing asked yet", "Choose a user to see what their profile does to a prompt. Nothing is sent to a model until you ask it.")));
  if (user.value && query.has("version")) await assemble();
  return [
    heading("Prompt", { said: h("p", { class: "muted" }, "What the model gets, word for word, and which part of it is the profile.") }),
    card("Question", {}, form),
    results,
  ];
}

function versionOf(answer) {
  return answer.profile_version ? { profile_version: answer.profile_version } : {};
}

function answerCard(answer) {
  return card(
    "Answer",
    { aside: h("span", { class: "small muted" }, answer.model) },
    h("p", { class: "said break" }, answer.output),
    facts([
      ["Profile version", answer.profile_version ?? "none"],
      ["Tokens", answer.usage ? format.count(answer.usage.prompt_tokens + answer.usage.completion_tokens) : "–"],
    ]),
  );
}

function promptCard(prompt, userId) {
  const { profile_version: version } = prompt;
  const label = version
    ? [h("a", { href: to("users", userId) }, `Profile version ${version}`), prompt.profile_stale ? [" ", tag("behind", "warn")] : null]
    : "No profile: the plain question goes in";
  return card(
    "Prompt",
    { aside: h("span", { class: "small" }, label, h("span", { class: "muted" }, ` · about ${format.countOf(prompt.tokens, "token")}`)) },
    prompt.messages.map((message) =>
      h("div", { class: "message" }, h("div", { class: "role" }, message.role), h("div", { class: "said" }, marked(message.content))),
    ),
  );
}

/** The text with the profile in it set apart. The rules beside it may name its marks in passing. */
function marked(text) {
  const start = text.lastIndexOf(`${START}\n`);
  const end = text.indexOf(END, start);
  if (start < 0 || end < 0) return text;
  const profile = h("span", { class: "injected", "data-injected": "" }, text.slice(start, end + END.length));
  // It is a block of its own, so the line break behind it is there already.
  return [text.slice(0, start), profile, text.slice(end + END.length).replace(/^\n/, "")];
}
