"""Server processes that die with us, and those that an earlier owner may have left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from service.embedded.account import Account
from service.embedded.errors import OrphansRemain, ServerDidNotStart

# Only Linux has the parent-death signal, and `/proc` to find who outlived an owner all the same.
CAN_SEE_ORPHANS = sys.platform == "linux"
POLL_SECONDS = 0.02
LOG_TAIL_LINES = 25
_LAUNCHER = str(Path(__file__).with_name("launch.py"))

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ServerCommand:
    """How a server is run.

    `death_signal` is what the server gets when we die and when we stop it; `stop_seconds` is how
    long it may take to obey before it is killed.
    """

    name: str
    argv: Sequence[str]
    cwd: Path
    log: Path
    death_signal: signal.Signals
    stop_seconds: float
    stdin: bytes = b""


class Server:
    """A running server, kept by a thread of its own.

    The kernel ties the parent-death signal to the *thread* that started the child: a server
    started from a short-lived thread would die with it. So the keeper thread starts the server and
    stays until the server has ended.
    """

    def __init__(self, command: ServerCommand, account: Account) -> None:
        self.name = command.name
        self._command = command
        self._stopping = False
        started: Future[subprocess.Popen[bytes]] = Future()
        self._keeper = threading.Thread(
            target=self._keep, args=(account, started), name=command.name, daemon=True
        )
        self._keeper.start()
        self._process = started.result()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def log(self) -> Path:
        return self._command.log

    @property
    def has_ended(self) -> bool:
        """Whether the server has ended although nobody stopped it."""
        return not self._keeper.is_alive() and not self._stopping

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Block until `ready()`.

        Raises:
            ServerDidNotStart: the server exited, or was not ready after `seconds`.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if not self._keeper.is_alive():
                raise self._did_not_start(f"exited with status {self._process.returncode}")
            if time.monotonic() > deadline:
                raise self._did_not_start(f"did not answer within {seconds:.0f} s")
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Ask the server to end, wait, then kill it. A server that has ended is left alone."""
        self._stopping = True
        for request in (self._command.death_signal, signal.SIGKILL):
            self._process.send_signal(request)
            self._keeper.join(self._command.stop_seconds)
            if not self._keeper.is_alive():
                return

    def _keep(self, account: Account, started: "Future[subprocess.Popen[bytes]]") -> None:
        command = self._command
        try:
            process = _spawn(command, account)
        except BaseException as error:
            started.set_exception(error)
            return
        started.set_result(process)
        code = process.wait()
        if not self._stopping:
            logger.error(
                "embedded server ended", server=command.name, status=code, log=str(command.log)
            )

    def _did_not_start(self, reason: str) -> ServerDidNotStart:
        log = self._command.log
        tail = log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return ServerDidNotStart(self._command.name, reason, log, "\n".join(tail))


def run_to_end(
    argv: Sequence[str], account: Account, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a program as `account` until it ends; stdout holds what it wrote to both streams."""
    return subprocess.run(
        _launched(argv, account.uid, account.gid, signal.SIGKILL),
        cwd="/",
        env=_environment(),
        input=stdin,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )


def end_orphans(marker: str, account: Account, seconds: float) -> None:
    """Wait for servers that carry `marker` in their titles, then kill those that are still there.

    They were told to end when their owner died, so most are just finishing. Finds nothing where
    not CAN_SEE_ORPHANS; there Postgres itself refuses to start beside another one.

    Raises:
        OrphansRemain: some did not end within `seconds` after they were killed.
    """
    orphans = _left_after(seconds, marker, account)
    if not orphans:
        return
    logger.warning("killing servers left by an earlier run", pids=orphans)
    for pid in orphans:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if survivors := _left_after(seconds, marker, account):
        raise OrphansRemain(survivors)


def _spawn(command: ServerCommand, account: Account) -> subprocess.Popen[bytes]:
    if command.log.exists():
        command.log.replace(command.log.with_suffix(".previous.log"))
    output = os.open(command.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(
            _launched(command.argv, account.uid, account.gid, command.death_signal),
            cwd=command.cwd,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C in the terminal is for us; we stop the servers last.
        )
    finally:
        os.close(output)
    assert process.stdin is not None
    # A server that has ended already is found out, with its log, by whoever waits for it.
    with suppress(BrokenPipeError), process.stdin as stdin:
        stdin.write(command.stdin)
    return process


def guarded_command(argv: Sequence[str], death_signal: signal.Signals) -> list[str]:
    """`argv` such that it runs as we do and gets `death_signal` when the calling thread ends."""
    return _launched(argv, os.getuid(), os.getgid(), death_signal)


def _launched(argv: Sequence[str], uid: int, gid: int, death_signal: signal.Signals) -> list[str]:
    watch = [os.getpid(), int(death_signal), uid, gid]
    return [sys.executable, "-I", "-S", _LAUNCHER, *map(str, watch), *argv]


def _environment() -> dict[str, str]:
    # Little on purpose: PG* variables would change what Postgres does, and credentials in our
    # environment are none of the servers' business.
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {"LC_ALL": "C"}


def _left_after(seconds: float, marker: str, account: Account) -> list[int]:
    deadline = time.monotonic() + seconds
    while (orphans := _marked(marker, account)) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return orphans


def _marked(marker: str, account: Account) -> list[int]:
    return [
        int(entry.name)
        for entry in Path("/proc").glob("[0-9]*")
        if _is_marked(entry, marker.encode(), account.uid)
    ]


def _is_marked(entry: Path, marker: bytes, uid: int) -> bool:
    try:
        return entry.stat().st_uid == uid and marker in (entry / "cmdline").read_bytes()
    except OSError:  # It ended while we looked.
        return False
