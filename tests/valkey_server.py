"""A Valkey of the test's own, to freeze and to stop."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from service.embedded.account import server_account
from service.embedded.binaries import valkey_server


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running_valkey(port: int, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server on `port` that keeps nothing; it is killed in the end, frozen or not."""
    binary = valkey_server(server_account(directory), directory)
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]
    with subprocess.Popen([str(binary), *options], stdout=subprocess.DEVNULL) as process:
        try:
            _wait_until_it_answers(port)
            yield process
        finally:
            process.kill()


@contextmanager
def frozen(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """The process holds its connections and answers nothing."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def _wait_until_it_answers(port: int) -> None:
    deadline = time.monotonic() + 10
    with redis.Redis(host="127.0.0.1", port=port) as client:
        while True:
            try:
                client.ping()
                return
            except redis.ConnectionError:
                assert time.monotonic() < deadline, "Valkey does not answer"
                time.sleep(0.01)
