"""`bump --help`, which reads as a short manual: commands by what one wants to do."""

from collections.abc import Mapping, Sequence
from typing import Any

from typer.core import TyperGroup

INTRODUCTION = """\
User profiles for LLM applications, with a measured quality for every version served.

`bump up` runs all of it on this machine. When something is wrong, `bump doctor` says what, and
what to do next.
"""
SECTIONS: Mapping[str, Sequence[str]] = {
    "Run it": ("up", "serve", "worker", "migrate"),
    "See how it does": ("doctor", "top", "quality", "regenerations"),
    "Fill and rewrite": ("import", "backfill"),
    "Say who may do what": ("keys", "limits", "sensitive"),
    "Make profiles better": ("evaluate", "lamp", "train", "generators"),
    "Connect programs": ("mcp", "openapi"),
}
EPILOG = """\
`bump COMMAND --help` says more. Results go to standard output, everything else to standard error;
with --json the results are for scripts. Status 0: done. 1: done, and the answer is no (rejected
lines, a refused candidate, a failed check). 2: not done, and one sentence says why.

Settings come from the environment or `.env`: BUMP_DATABASE_URL, BUMP_REDIS_URL and so on. Beside
a running `bump up` none is needed. `bump --install-completion` teaches your shell the commands.
"""


class Manual(TyperGroup):
    """The group of all commands, in sections."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for title, names in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, _first_sentence(self.commands[name])) for name in names])


def _first_sentence(command: Any) -> str:
    """The whole of it: cut off at the width of a line it would say little."""
    words = " ".join((command.help or "").split())
    return words.partition(". ")[0].rstrip(".")
