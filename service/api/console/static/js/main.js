// Starts the console: finds out who is there, then shows the page that the address names.

import { get, needsKey, whenRefused } from "./api.js";
import { fill } from "./dom.js";
import { forget, tell } from "./notice.js";
import { failure, heading } from "./parts.js";
import { generatorPage } from "./pages/generator.js";
import { generatorsPage } from "./pages/generators.js";
import { showLogin } from "./pages/login.js";
import { overviewPage } from "./pages/overview.js";
import { promptPage } from "./pages/prompt.js";
import { queuePage } from "./pages/queue.js";
import { userPage } from "./pages/user.js";
import { usersPage } from "./pages/users.js";
import { place } from "./router.js";
import { session } from "./session.js";
import { main, markPage, showFrame } from "./shell.js";

// By the number of parts of the address behind the name.
const PAGES = {
  overview: [overviewPage],
  users: [usersPage, userPage],
  prompt: [promptPage],
  queue: [queuePage],
  generators: [generatorsPage, generatorPage],
};

let leaving = new AbortController();

async function show() {
  if (!session.project) return;
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const { parts, query } = place();
  const [name = "overview", ...names] = parts;
  const page = PAGES[name]?.[names.length] ?? overviewPage;
  markPage(PAGES[name] ? name : "overview");
  forget();
  try {
    const shown = await page({ names, query, signal });
    if (signal.aborted) return;
    fill(main, shown);
  } catch (problem) {
    if (signal.aborted) return;
    fill(main, heading(problem.title ?? "Something went wrong"), failure(problem));
  }
  const title = main.querySelector("h1");
  document.title = `${title.textContent} · Bump`;
  title.focus({ preventScroll: true });
  scrollTo(0, 0);
}

function enter(key, project) {
  session.open(key, project);
  showFrame(leave);
  show();
}

function leave() {
  leaving.abort();
  session.close();
  document.title = "Sign in · Bump";
  showLogin(enter);
}

async function start() {
  try {
    // Where the server trusts its own machine, nobody needs to sign in.
    if (session.key || !(await needsKey())) return enter(session.key, await get("project"));
    leave();
  } catch (problem) {
    leave();
    tell(problem.detail || problem.title);
  }
}

whenRefused(() => {
  leave();
  tell("The key is no longer valid. Sign in again.");
});
addEventListener("hashchange", show);
start();
