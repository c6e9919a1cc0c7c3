"""The unprivileged account that the servers run as."""

import os
import pwd
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from service.embedded.errors import NoServerAccount

# `nobody` last: other daemons share it, and could signal our servers or read their files.
CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    name: str
    uid: int
    gid: int

    def own(self, path: Path) -> None:
        """Give `path` to this account (nothing to do unless we are root)."""
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid)

    def first_closed(self, path: Path) -> Path | None:
        """The topmost directory from `/` down to `path` that this account may not enter."""
        directories = [*reversed(path.parents), path]
        return next((d for d in directories if not self._may_enter(d)), None)

    def _may_enter(self, directory: Path) -> bool:
        status = directory.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


def server_account(server_dir: Path) -> Account:
    """Ourselves; as root the owner of `server_dir`, else the first of CANDIDATES that exists.

    The owner comes first because an account that appears later (Debian's Postgres package adds
    `postgres`) could not read a cluster that `nobody` initialised.

    Raises:
        NoServerAccount: we are root and no candidate exists.
    """
    if os.geteuid() != 0:
        return Account(str(os.geteuid()), os.geteuid(), os.getegid())
    if server_dir.exists() and (status := server_dir.stat()).st_uid != 0:
        return Account(str(status.st_uid), status.st_uid, status.st_gid)
    for name in CANDIDATES:
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise NoServerAccount(CANDIDATES)
