"""`make demo`: the whole way of the data on this machine, with fictional users.

Starts `bump up` (Postgres, Valkey, API, worker) on a directory of its own, sends it the histories
beside this file, has the profiles written, and shows two of them, what they do to a prompt, and
what a model makes of it: bump-mini, or the one that BUMP_DOWNSTREAM_URL and BUMP_DOWNSTREAM_MODEL
name.
Running it again is safe: events that are stored already are recognised.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import orjson
from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from service.embedded import default_data_dir

HISTORIES = Path(__file__).with_name("histories.jsonl")
DATA_DIR = default_data_dir().with_name("bump-demo")
SHOWN_USERS = ("ada-trail-runner", "gerrit-birdwatcher")
QUESTION = "Where should I go this summer?"
START_SECONDS = 60
PROFILE_SECONDS = 30

console = Console(highlight=False)


def main() -> None:
    console.print("[bold]Bump demo[/]: everything below runs on this machine, for real.\n")
    with running_bump() as url, httpx2.Client(base_url=url, timeout=60, trust_env=False) as bump:
        users = ingest(bump)
        write_profiles(bump, users)
        for user_id in SHOWN_USERS:
            show_profile(bump, user_id)
        show_prompt(bump, SHOWN_USERS[0])
        for user_id in (*SHOWN_USERS, "somebody-unknown"):
            show_answer(bump, user_id)
    show_next_steps()


@contextmanager
def running_bump() -> Iterator[str]:
    """The base URL of a `bump up` that lives as long as the block."""
    port = free_port()
    environment = {**os.environ, "BUMP_DEBOUNCE": "1", "BUMP_LOG_LEVEL": "warning"}
    command = [sys.executable, "-m", "service", "up", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--data-dir", str(DATA_DIR)],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        with console.status("Starting Postgres, Valkey, the API and a worker …"):
            started = time.monotonic()
            wait_until_ready(url, process)
        console.print(f"Started in {time.monotonic() - started:.1f} s. Data: {DATA_DIR}")
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_ready(url: str, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            assert process.stderr is not None
            sys.exit(f"Bump did not start:\n{process.stderr.read()}")
        try:
            if httpx2.get(f"{url}/readyz", trust_env=False).status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.1)
    sys.exit(f"Bump was not ready after {START_SECONDS} s.")


def ingest(bump: httpx2.Client) -> list[str]:
    """Send the histories as one NDJSON request; returns the users they belong to."""
    body = HISTORIES.read_bytes()
    response = bump.post(
        "/v1/interactions", content=body, headers={"Content-Type": "application/x-ndjson"}
    )
    response.raise_for_status()
    answer = response.json()
    users = sorted({orjson.loads(line)["user_id"] for line in body.splitlines()})
    console.print(
        f"POST /v1/interactions: {answer['accepted']} interactions of {len(users)} fictional "
        f"users accepted; {answer['duplicates']} were there from an earlier run."
    )
    return users


def write_profiles(bump: httpx2.Client, users: list[str]) -> None:
    """Wait for every profile, then have it written anew.

    The first round counts everybody, so that the second sees each user against all the others;
    and what an older version of the code wrote is replaced.
    """
    columns = (TextColumn("Writing profiles"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        for user_id in users:
            wait_for_profile(bump, user_id)
        for user_id in progress.track(users):
            path = f"/v1/users/{user_id}/profile/regenerate"
            response = bump.post(path, params={"wait": PROFILE_SECONDS})
            response.raise_for_status()
            if not response.json()["done"]:
                sys.exit(f"{user_id} has no new profile after {PROFILE_SECONDS} s.")


def wait_for_profile(bump: httpx2.Client, user_id: str) -> None:
    deadline = time.monotonic() + PROFILE_SECONDS
    while bump.get(f"/v1/users/{user_id}/profile").status_code != 200:
        if time.monotonic() > deadline:
            sys.exit(f"{user_id} has no profile after {PROFILE_SECONDS} s.")
        time.sleep(0.1)


def show_profile(bump: httpx2.Client, user_id: str) -> None:
    profile = bump.get(f"/v1/users/{user_id}/profile").json()
    said = texts_by_event(bump, user_id)
    body = Text()
    for statement in profile["statements"]:
        body.append(f"{statement['text']}\n", style="bold")
        for evidence in statement["evidence"][-2:]:
            body.append(f"    {evidence['event_id']}  ", style="dim")
            body.append(f"{shortened(said[evidence['event_id']])}\n", style="dim")
    title = f"GET /v1/users/{user_id}/profile"
    subtitle = f"version {profile['version']}, {profile['tokens']} tokens, with evidence"
    console.print(Panel(body, title=title, subtitle=subtitle))


def texts_by_event(bump: httpx2.Client, user_id: str) -> dict[str, str]:
    page = bump.get(f"/v1/users/{user_id}/interactions", params={"limit": 500}).json()
    return {item["event_id"]: item["text"] for item in page["interactions"]}


def show_prompt(bump: httpx2.Client, user_id: str) -> None:
    body: dict[str, Any] = {"user_id": user_id, "input": QUESTION}
    prompt = bump.post("/v1/personalize/prompt", json=body).json()
    text = Text()
    for message in prompt["messages"]:
        text.append(f"{message['role']}\n", style="bold cyan")
        text.append(f"{message['content']}\n\n")
    title = f"POST /v1/personalize/prompt  “{QUESTION}”"
    console.print(
        Panel(text, title=title, subtitle=f"{user_id}, at most {prompt['tokens']} tokens")
    )


def show_answer(bump: httpx2.Client, user_id: str) -> None:
    """The model's answer, and the statement of the profile that it owes most to."""
    body = {"user_id": user_id, "input": QUESTION, "temperature": 0}
    answer = bump.post("/v1/personalize", json=body).json()
    output = str(answer.get("output") or answer.get("detail"))
    model = answer.get("model", "no model")
    text = Text(f"{output}\n\n")
    profile = bump.get(f"/v1/users/{user_id}/profile")
    statements = [one["text"] for one in profile.json().get("statements", ())]
    if statement := statement_behind(output, statements):
        text.append("because of  ", style="dim")
        text.append(statement, style="bold")
    else:
        text.append("it owes nothing to a profile", style="dim")
    title = f"POST /v1/personalize  \u201c{QUESTION}\u201d"
    console.print(Panel(text, title=title, subtitle=f"{user_id}, answered by {model}"))


def statement_behind(answer: str, statements: Sequence[str]) -> str | None:
    """The statement with most words of the answer, if any has some; of several the shortest."""
    shared = {one: words(answer) & words(one) for one in statements}
    best = max(statements, key=lambda one: (len(shared[one]), -len(words(one))), default=None)
    return best if best is not None and shared[best] else None


def words(text: str) -> set[str]:
    """Words of four letters and more that the question does not hold."""
    return set(re.findall(r"[a-z]{4,}", text.lower())) - set(QUESTION.lower().split())


def shortened(text: str, limit: int = 84) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def show_next_steps() -> None:
    console.print(
        f"""
[bold]Go on[/]
  .venv/bin/bump up --data-dir {DATA_DIR}        the same data, to play with
  curl 127.0.0.1:8000/v1/users/ben-home-cook/profile
  open http://127.0.0.1:8000/console                     a browser's view; /docs has every route
  BUMP_DOWNSTREAM_URL=… BUMP_DOWNSTREAM_MODEL=… make demo  with a real model: bump-mini is tiny
  README.md has a 60-second tour; docs/architecture.md how it works.""",
        soft_wrap=True,
    )


if __name__ == "__main__":
    main()
