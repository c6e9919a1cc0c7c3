"""Who owns a data directory: a lock that ends with its holder, and what the holder says."""

import dataclasses
import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.embedded.errors import AlreadyRunning

# `current_owner` holds the lock for an instant to look at it, which a start must not take for an
# owner.
_LOCK_SECONDS = 0.5
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Owner:
    """Content of `owner.json`; `ready` while both servers answer."""

    pid: int
    postgres_port: int = 0
    valkey_port: int = 0
    ready: bool = False


class Ownership:
    """Held by the process that runs the servers of a data directory."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def last(self) -> Owner | None:
        """What the file says: the last owner's words until `announce`."""
        return _parse(os.pread(self._descriptor, 4096, 0))

    def announce(self, owner: Owner) -> None:
        content = json.dumps(dataclasses.asdict(owner)).encode()
        # In place: a file put there by rename would not be the one that is locked.
        os.pwrite(self._descriptor, content, 0)
        os.ftruncate(self._descriptor, len(content))


@contextmanager
def own(path: Path) -> Iterator[Ownership]:
    """Hold the lock on `path` (made 0600); the kernel releases it however we end.

    Raises:
        AlreadyRunning: another process, or an earlier call of this one, holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(descriptor, path)
        yield Ownership(descriptor)
    finally:
        os.close(descriptor)


def current_owner(path: Path) -> Owner | None:
    """Who holds the lock on `path` and is ready, or None."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = _parse(os.pread(descriptor, 4096, 0))
        return owner if owner and owner.ready else None
    else:
        return None
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _parse(os.pread(descriptor, 4096, 0))
            if time.monotonic() > deadline:
                raise AlreadyRunning(path.parent, owner.pid if owner else 0) from None
        time.sleep(_POLL_SECONDS)


def _parse(content: bytes) -> Owner | None:
    try:
        return Owner(**json.loads(content))
    except ValueError:  # Empty, or caught in the middle of a write.
        return None
