"""Why the embedded servers cannot start, each with what to do next.

EmbeddedError
├── AlreadyRunning          another process owns the data directory
├── DataDirNotTraversable   the unprivileged account cannot reach the data directory
├── NoServerAccount         we are root and there is no account to run Postgres as
├── OrphansRemain           servers of an earlier run cannot be ended
├── SecretsDoNotMatch       the cluster was initialised with other passwords
├── InitialisationFailed    initdb or the creation of roles failed
└── ServerDidNotStart       a server exited or did not answer in time
"""

from pathlib import Path


class EmbeddedError(RuntimeError):
    """Base of everything that `service.embedded` raises on purpose."""


class AlreadyRunning(EmbeddedError):
    def __init__(self, data_dir: Path, pid: int) -> None:
        super().__init__(
            f"{data_dir} is in use by process {pid}: stop that process first, "
            "or start with another data directory."
        )
        self.pid = pid


class DataDirNotTraversable(EmbeddedError):
    def __init__(self, data_dir: Path, closed: Path, account: str) -> None:
        super().__init__(
            f"Postgres refuses to run as root, so it runs as '{account}', which may not enter "
            f"{closed}, a directory on the way to {data_dir}. Choose a data directory below "
            f"directories open to all (such as /var/lib/bump), or run 'chmod o+x {closed}'."
        )
        self.closed = closed


class NoServerAccount(EmbeddedError):
    def __init__(self, candidates: tuple[str, ...]) -> None:
        super().__init__(
            "Postgres refuses to run as root, and this machine has none of the accounts "
            f"{', '.join(candidates)}. Create one, or run as an ordinary user."
        )


class OrphansRemain(EmbeddedError):
    def __init__(self, pids: list[int]) -> None:
        super().__init__(
            f"Processes {', '.join(map(str, pids))}, servers of an earlier run, did not end when "
            "they were killed; the disk may be hanging. Once they are gone, start again."
        )


class SecretsDoNotMatch(EmbeddedError):
    def __init__(self, secrets: Path, cluster: Path) -> None:
        super().__init__(
            f"{secrets} does not hold the passwords that {cluster} was initialised with. "
            f"Restore {secrets.name} from a backup, or remove {cluster.parent} to start empty."
        )


class InitialisationFailed(EmbeddedError):
    def __init__(self, program: str, code: int, output: str) -> None:
        super().__init__(
            f"{program} failed with exit status {code}; nothing was kept, so once the cause "
            f"is removed start again. It said:\n{output}"
        )


class ServerDidNotStart(EmbeddedError):
    def __init__(self, server: str, reason: str, log: Path, tail: str) -> None:
        super().__init__(f"{server} {reason}. The end of its log, {log}:\n{tail}")
