"""The embedded Valkey: only ever a cache, so it keeps nothing on disk."""

import signal
from pathlib import Path

import redis

from service.embedded.account import Account
from service.embedded.data_dir import DataDir, Secrets
from service.embedded.process import Server, ServerCommand

START_SECONDS = 10.0
STOP_SECONDS = 5.0

# Every key can be read again from Postgres. So at the memory limit old keys go, whether or not they
# expire, rather than writes failing; and nothing is saved. No command is remembered either: its
# arguments hold profiles, and would outlive an erasure.
_CONFIG = """\
bind 127.0.0.1
port {port}
requirepass {password}
maxmemory 256mb
maxmemory-policy allkeys-lru
save ""
appendonly no
commandlog-execution-slower-than -1
commandlog-request-larger-than -1
commandlog-reply-larger-than -1
proc-title-template "{{title}} {{listen-addr}} {marker}"
"""


def start(binary: Path, data: DataDir, port: int, secrets: Secrets, account: Account) -> Server:
    """Start the server; it may not answer yet."""
    config = _CONFIG.format(port=port, password=secrets.valkey, marker=data.marker)
    command = ServerCommand(
        name="valkey",
        argv=[str(binary), "-"],
        cwd=data.valkey,
        log=data.log("valkey"),
        death_signal=signal.SIGTERM,
        stop_seconds=STOP_SECONDS,
        stdin=config.encode(),  # So that the password is in no argument list and no second file.
    )
    return Server(command, account)


def wait_until_ready(server: Server, port: int, secrets: Secrets) -> None:
    """Block until PING is answered.

    Raises:
        ServerDidNotStart: the server exited or did not answer within START_SECONDS.
    """

    def answers() -> bool:
        with redis.Redis(host="127.0.0.1", port=port, password=secrets.valkey) as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False

    server.wait_until(answers, START_SECONDS)
