// Short words on what happened, which screen readers say as well.

import { h } from "./dom.js";

const SHOWN_MS = 7_000;

const said = h("div", { role: "status" });
const failed = h("div", { role: "alert" });
export const notices = h("div", { class: "notices" }, said, failed);

export function tell(text) {
  const notice = shown(text, "notice");
  said.replaceChildren(notice);
  setTimeout(() => notice.remove(), SHOWN_MS);
}

/** Stays until it is dismissed or the next thing works. */
export function complain(problem) {
  if (problem.name === "AbortError") return;
  const text = problem.title && problem.detail ? `${problem.title}. ${problem.detail}` : problem.message;
  failed.replaceChildren(shown(text, "notice bad"));
}

export function forget() {
  failed.replaceChildren();
}

function shown(text, kind) {
  const dismiss = h("button", { class: "quiet", type: "button" }, "Dismiss");
  const notice = h("div", { class: kind }, h("span", {}, text), dismiss);
  dismiss.addEventListener("click", () => notice.remove());
  return notice;
}
