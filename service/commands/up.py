"""`bump up`: the embedded servers, the API and a worker on this machine, until Ctrl-C."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from service.commands.chosen_model import model_environment
from service.commands.metrics_reading import remember_addresses
from service.commands.migrate import migrate
from service.commands.serve import LOOPBACK_HOSTS
from service.commands.settings import artifact_store, read_settings
from service.db.projects import any_live_key
from service.db.session import open_database
from service.embedded import Embedded, EmbeddedServers, start
from service.embedded.process import guarded_command
from service.errors import ConfigurationError
from service.llm.local import BUMP_MINI

_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Options:
    """What `bump up` was asked for. `downstream` and `model`: see `model_environment`."""

    data_dir: Path
    host: str
    port: int
    downstream: str | None = None
    model: str | None = None


def up(options: Options, say: Callable[[str], None]) -> None:
    """Start everything and block until a signal, or until a part of it ends.

    Raises ConfigurationError when the host can be reached from outside and there is no key, or
    when there is no such model.
    """
    settings = read_settings()
    data_dir, host, port = options.data_dir, options.host, options.port
    answering = model_environment(options.downstream, options.model, settings.downstream_url)
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda sig, _: stopping.append(sig))
    with ExitStack() as stack:
        embedded = stack.enter_context(start(data_dir))
        servers = embedded.servers
        migrate(servers.admin_url, servers.app_url)
        keyless = host in LOOPBACK_HOSTS
        if not keyless and not asyncio.run(_has_key(servers)):
            raise ConfigurationError(
                f"{host} can be reached from other machines, and there is no API key. Run "
                "`bump up` on 127.0.0.1, then `bump keys create` in another terminal, then this."
            )
        environment = {
            **_environment(servers, auth="loopback" if keyless else "keys"),
            "BUMP_ARTIFACT_STORE": str(artifact_store(settings, data_dir)),
            **answering,
        }
        metrics_port = environment.setdefault("BUMP_METRICS_PORT", str(_free_port()))
        processes = {
            "the API": _spawn(stack, ["serve", "--host", host, "--port", str(port)], environment),
            "the worker": _spawn(stack, ["worker"], environment),
        }
        own = f"http://{_shown(host)}:{port}"
        of_worker = f"http://127.0.0.1:{metrics_port}"
        remember_addresses(data_dir, [f"{own}/metrics", f"{of_worker}/metrics"])
        say(f"Bump listens on {own} (docs at /docs). Data: {data_dir}")
        say(f"Metrics at /metrics, the worker's at {of_worker}/metrics; `bump top` shows them.")
        for line in _who_answers(answering):
            say(line)
        say("Ctrl-C stops everything.")
        while not stopping and not (ended := _ended(embedded, processes)):
            time.sleep(_POLL_SECONDS)
        if not stopping:
            raise ConfigurationError(f"A part of Bump has ended by itself: {ended}.")
        say("Stopping …")


def _who_answers(answering: Mapping[str, str]) -> Sequence[str]:
    if not answering:
        return ()
    model = answering["BUMP_DOWNSTREAM_MODEL"]
    if model != BUMP_MINI:
        return (f"{model} answers at /v1/personalize.",)
    return (
        f"{BUMP_MINI} answers at /v1/personalize: it is tiny, and shows what a profile changes.",
        "--downstream URL or --model NAME name a better one.",
    )


def _ended(embedded: Embedded, processes: Mapping[str, subprocess.Popen[bytes]]) -> str | None:
    """Which part runs no more and where that is explained; None while all do."""
    if server := embedded.ended():
        return server
    for name, process in processes.items():
        if process.poll() is not None:
            return f"{name}; what it logged above says why"
    return None


def _spawn(
    stack: ExitStack, arguments: list[str], environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "service", *arguments]
    # A session of their own: Ctrl-C reaches us alone, and we stop them in order.
    process = subprocess.Popen(
        guarded_command(command, signal.SIGTERM), env=environment, start_new_session=True
    )
    stack.callback(_stop, process)
    return process


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _environment(servers: EmbeddedServers, *, auth: str) -> dict[str, str]:
    return {
        **os.environ,
        "BUMP_DATABASE_URL": servers.app_url,
        "BUMP_REDIS_URL": servers.redis_url,
        "BUMP_AUTH": auth,
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _has_key(servers: EmbeddedServers) -> bool:
    database = open_database(servers.app_url, pool_size=1)
    try:
        return await any_live_key(database)
    finally:
        await database.close()


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
