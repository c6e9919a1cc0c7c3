// Pages that follow what happens: asked again and again while somebody looks, and never twice at
// once. Whoever prefers a page that stands still can stop it.

import { h } from "./dom.js";
import { complain } from "./notice.js";

/** Runs `ask` every `seconds` until `signal` aborts; returns the control for the page's heading. */
export function follow(ask, { seconds, signal }) {
  let paused = false;
  let timer = 0;
  const state = h("span", { class: "live" }, "Live");
  const toggle = h("button", { type: "button", class: "quiet" }, "Pause updates");
  const next = () => {
    clearTimeout(timer);
    if (!signal.aborted && !paused) timer = setTimeout(run, seconds * 1000);
  };
  const run = async () => {
    if (document.hidden) return;
    try {
      await ask();
    } catch (problem) {
      if (!signal.aborted) complain(problem);
    }
    next();
  };
  toggle.addEventListener("click", () => {
    paused = !paused;
    state.classList.toggle("paused", paused);
    state.textContent = paused ? "Paused" : "Live";
    toggle.textContent = paused ? "Resume updates" : "Pause updates";
    if (!paused) run();
    else clearTimeout(timer);
  });
  document.addEventListener("visibilitychange", () => !document.hidden && !paused && run(), { signal });
  signal.addEventListener("abort", () => clearTimeout(timer));
  next();
  return [state, toggle];
}
