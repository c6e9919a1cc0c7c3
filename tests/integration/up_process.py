"""A running `bump up` for tests: started, called, looked at, ended."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.embedded_stacks import descendants
from tests.faults.processes import free_port, readiness

START_SECONDS = 60
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("BUMP_")},
    "BUMP_DEBOUNCE": "0",
    "BUMP_WORKER_POLL": "0.05",
    "BUMP_DRAIN_DELAY": "0",
}


@dataclass(frozen=True, slots=True)
class Up:
    """A running `bump up` and a client that sends no key."""

    process: subprocess.Popen[bytes]
    client: httpx2.Client
    log: Path

    def descendants(self) -> list[int]:
        """The pids of the API, the worker, Postgres, Valkey and all that they started."""
        return descendants(self.process.pid)


def command(data_dir: Path, port: int, *options: str) -> list[str]:
    place = ("--data-dir", str(data_dir), "--port", str(port))
    return [sys.executable, "-m", "service", "up", *place, *options]


@contextmanager
def running(data_dir: Path, **settings: object) -> Iterator[Up]:
    """`bump up` on `data_dir`, ready to serve; whatever is left of it ends with the block.

    `settings` as in Settings: `running(place, log_level="debug")`.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    log = data_dir.with_suffix(".log")
    chosen = {f"BUMP_{name.upper()}": str(value) for name, value in settings.items()}
    environment = {**ENVIRONMENT, **chosen}
    with log.open("ab") as output:
        process = subprocess.Popen(
            command(data_dir, port), env=environment, cwd="/", stdout=output, stderr=output
        )
    try:
        _wait(lambda: readiness(url) == 200, lambda: process.poll() is None, log)
        with httpx2.Client(base_url=url, trust_env=False, timeout=30) as client:
            yield Up(process, client, log)
    finally:
        process.terminate()
        process.wait(60)


def _wait(ready: Callable[[], bool], alive: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        assert alive() and time.monotonic() < deadline, log.read_text(errors="replace")
        time.sleep(0.05)
