// Asks for an API key and finds out whether it may do what the console does.

import { get } from "../api.js";
import { fill, h } from "../dom.js";
import { notices } from "../notice.js";
import { failure, field } from "../parts.js";
import { brand } from "../shell.js";

export function showLogin(enter) {
  const input = h("input", { type: "password", name: "key", autocomplete: "off", spellcheck: "false", required: true, placeholder: "bump_…" });
  const submit = h("button", { type: "submit", class: "primary" }, "Sign in");
  const refusal = h("div", { role: "alert" });
  const form = h("form", {}, field("API key with the scope admin", input), refusal, h("div", {}, submit));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.setAttribute("aria-busy", "true");
    const key = input.value.trim();
    try {
      enter(key, await get("project", { key }));
    } catch (problem) {
      fill(refusal, failure(problem));
      submit.removeAttribute("aria-busy");
      input.focus();
    }
  });
  const page = h(
    "main",
    { class: "login", id: "main" },
    h(
      "div",
      { class: "card" },
      brand(),
      h("div", {}, h("h1", {}, "Sign in"), h("p", { class: "muted" }, "Look after the profiles of a project.")),
      form,
      h(
        "p",
        { class: "hint" },
        "The key stays in this tab and is forgotten with it. ",
        h("code", {}, "bump keys create --scope admin"),
        " makes one.",
      ),
    ),
  );
  document.body.replaceChildren(page, notices);
  input.focus();
}
