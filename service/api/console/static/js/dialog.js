// Questions that must be answered before something is done.

import { h } from "./dom.js";
import { newId } from "./parts.js";

/**
 * Asks; resolves to true where the person goes on. With `typed`, that text must be typed first.
 */
export function confirmed({ title, said, action, danger = false, typed = null }) {
  return new Promise((resolve) => {
    const id = newId("dialog");
    const input = typed && h("input", { id: `${id}-typed`, autocomplete: "off", spellcheck: "false" });
    const go = h("button", { type: "submit", class: danger ? "danger primary" : "primary", disabled: Boolean(typed) }, action);
    const cancel = h("button", { type: "button" }, "Cancel");
    const form = h(
      "form",
      { method: "dialog" },
      h("h2", { id }, title),
      said.map((text) => h("p", {}, text)),
      input && h("div", {}, h("label", { for: input.id, class: "break" }, `Type ${typed} to go on`), input),
      h("div", { class: "actions" }, cancel, go),
    );
    const dialog = h("dialog", { "aria-labelledby": id }, form);
    let answer = false;
    input?.addEventListener("input", () => {
      go.disabled = input.value !== typed;
    });
    // Not sent anywhere: the policy of the page forbids every form to be.
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (go.disabled) return;
      answer = true;
      dialog.close();
    });
    cancel.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
    (input ?? cancel).focus();
  });
}
