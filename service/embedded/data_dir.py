"""What lies in a data directory: who owns it now, the passwords, the servers' files.

    owner.json    0600  locked while a stack runs: its owner's pid and ports
    secrets.json  0600  passwords, generated once
    postgres/     0700  of the server account: the cluster in `data/`, the socket beside it
    valkey/       0700  of the server account: its working directory, empty
    logs/         0700  this run's log of each server and the previous one
    runtime/      0755  only as root: copies of binaries that the server account could not read

The directory itself is 0700; as root 0711, because the server account must pass through it.
"""

import dataclasses
import hashlib
import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from service.embedded.account import Account
from service.embedded.errors import DataDirNotTraversable, SecretsDoNotMatch


def _password() -> str:
    return secrets.token_urlsafe(24)


@dataclass(frozen=True, slots=True)
class Secrets:
    """Passwords by role, URL-safe; `postgres` is the superuser's, for rescue by hand."""

    postgres: str = field(default_factory=_password, repr=False)
    bump_owner: str = field(default_factory=_password, repr=False)
    bump_service: str = field(default_factory=_password, repr=False)
    valkey: str = field(default_factory=_password, repr=False)


@dataclass(frozen=True, slots=True)
class DataDir:
    """The paths of one data directory; `root` must be absolute and resolved."""

    root: Path

    @property
    def owner(self) -> Path:
        return self.root / "owner.json"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets.json"

    @property
    def superuser_password(self) -> Path:
        """There only while initdb reads it."""
        return self.root / "superuser-password"

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def cluster(self) -> Path:
        return self.postgres / "data"

    @property
    def valkey(self) -> Path:
        return self.root / "valkey"

    @property
    def runtime(self) -> Path:
        return self.root / "runtime"

    def log(self, server: str) -> Path:
        return self.root / "logs" / f"{server}.log"

    @property
    def marker(self) -> str:
        """A word in the titles of this directory's server processes, and of no others."""
        return f"bump-{hashlib.sha256(bytes(self.root)).hexdigest()[:12]}"

    def create(self) -> None:
        """Make the directory itself; one that exists keeps its permissions."""
        if not self.root.exists():
            self.root.mkdir(parents=True)
            self.root.chmod(0o711 if os.geteuid() == 0 else 0o700)

    def create_server_directories(self, account: Account) -> None:
        """Make what is below.

        Raises:
            DataDirNotTraversable: `account` cannot reach the directory.
        """
        if os.geteuid() == 0 and (closed := account.first_closed(self.root)):
            raise DataDirNotTraversable(self.root, closed, account.name)
        self.log("").parent.mkdir(mode=0o700, exist_ok=True)
        for directory in (self.postgres, self.valkey):
            directory.mkdir(mode=0o700, exist_ok=True)
            account.own(directory)

    def read_or_create_secrets(self) -> Secrets:
        """The passwords of this directory, generated the first time.

        Raises:
            SecretsDoNotMatch: they are missing although there is a cluster.
        """
        if self.secrets.exists():
            return Secrets(**json.loads(self.secrets.read_text()))
        if self.cluster.exists():
            raise SecretsDoNotMatch(self.secrets, self.cluster)
        created = Secrets()
        staging = self.secrets.with_suffix(".new")
        write_private(staging, json.dumps(dataclasses.asdict(created)))
        staging.rename(self.secrets)
        return created


def write_private(path: Path, content: str) -> None:
    """Write a file that nobody else could have prepared or can read (0600), safely to disk."""
    path.unlink(missing_ok=True)
    with open(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
