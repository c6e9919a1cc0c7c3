"""Embedded servers for tests: directories they can live in, and how to look at them."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import redis

from service import embedded
from service.embedded.data_dir import DataDir

PROJECT = Path(__file__).parents[1]
AS_ROOT = os.geteuid() == 0
OWNER_PROGRAM = """
import sys
from pathlib import Path
from service import embedded

stack = embedded.start(Path(sys.argv[1]))
sys.stdout.write("ready\\n")
sys.stdout.flush()
sys.stdin.read()
"""
FINDER_PROGRAM = """
import sys
from pathlib import Path
from service import embedded

found = embedded.running(Path(sys.argv[1]))
sys.stdout.write(found.app_url if found else "none")
"""


@contextmanager
def open_directory() -> Iterator[Path]:
    """A directory that other accounts may pass through; pytest's own are closed to them.

    As root the servers run as another account.
    """
    directory = Path(tempfile.mkdtemp(prefix="bump-"))
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


@contextmanager
def owner_process(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER_PROGRAM, str(data_dir)],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def in_another_process(program: str, data_dir: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, str(data_dir)],
        cwd=PROJECT,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout


async def connect(url: str, **changes: object) -> asyncpg.Connection:
    parts = urlsplit(url)
    arguments = {
        "host": parts.hostname,
        "port": parts.port,
        "user": parts.username,
        "password": parts.password,
        "database": parts.path.lstrip("/"),
    }
    return await asyncpg.connect(**(arguments | changes))


async def query(url: str, sql: str) -> object:
    connection = await connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def ping(url: str) -> bool:
    with redis.Redis.from_url(url) as client:
        return bool(client.ping())


def postmaster_pid(data_dir: Path) -> int:
    return int(DataDir(data_dir).cluster.joinpath("postmaster.pid").read_text().split()[0])


def valkey_pid(servers: embedded.EmbeddedServers) -> int:
    with redis.Redis.from_url(servers.redis_url) as client:
        return int(client.info("server")["process_id"])


def descendants(pid: int) -> list[int]:
    """The pids of what this process has started, and of what that has started."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found += [child, *descendants(child)]
    return found


def command_line(pid: int) -> bytes:
    """Empty when the process has ended, even if its parent has not noticed yet."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def wait_until_gone(*pids: int) -> None:
    deadline = time.monotonic() + 30
    while alive := [pid for pid in pids if command_line(pid)]:
        assert time.monotonic() < deadline, f"still alive: {alive}"
        time.sleep(0.02)
