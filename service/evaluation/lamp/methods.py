"""The rows of LaMP by name: what of a user a model is shown.

`none`; entries of the history in LaMP's words (`last-4`, `bm25-1`, `full-history`); a profile by
who wrote it (`extractive`); or a profile and entries (`extractive+bm25-4`).
"""

import re
from dataclasses import dataclass
from enum import Enum

from service.evaluation.baselines import BASELINES

UNTRAINED, TRAINED = "extractive", "extractive-trained"
LLM, SUMMARY, STRANGER = "llm", "pag", "stranger"

# Whose profile is shown. `llm:NAME` is the same generator with another model of its server.
SOURCES = (UNTRAINED, TRAINED, LLM, SUMMARY, *(name for name in BASELINES if name != "empty"))
WITH_MODEL = (
    *("none", "last-4", "bm25-1", "bm25-4", "full-history"),
    *(SUMMARY, UNTRAINED, TRAINED, LLM, STRANGER, "keywords", "last-items"),
    *(f"{TRAINED}+bm25-1", f"{LLM}+bm25-1", f"{TRAINED}+bm25-4", f"{LLM}+bm25-4"),
)

_COUNTED = re.compile(r"(last|bm25)-([1-9]\d{0,2})")


class UnknownMethod(ValueError):
    """There is no method of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"There is no method {name!r}: take none, last-K, bm25-K, full-history, a profile "
            f"({', '.join(SOURCES)}, llm:MODEL), or a profile and entries (extractive+bm25-4)."
        )


class Choice(Enum):
    """Which entries of a history stand before the question."""

    NEWEST = "last"
    SIMILAR = "bm25"


@dataclass(frozen=True, slots=True)
class Method:
    """What a model is shown beside the question.

    `source`: who wrote the profile; None for no profile. `choice`: None for no entries. `count`:
    None for as many as fit.
    """

    name: str
    source: str | None = None
    choice: Choice | None = None
    count: int | None = None


def parse(name: str) -> Method:
    """Raises UnknownMethod."""
    source, plus, entries = name.partition("+")
    if not plus and (found := _entries(name)):
        return Method(name, None, *found)
    if not _is_source(source):
        raise UnknownMethod(name)
    if not plus:
        return Method(name, source)
    chosen = _entries(entries)
    if chosen is None or chosen[0] is None:
        raise UnknownMethod(name)
    return Method(name, source, *chosen)


def _entries(name: str) -> tuple[Choice | None, int | None] | None:
    if name == "none":
        return None, None
    if name == "full-history":
        return Choice.NEWEST, None
    counted = _COUNTED.fullmatch(name)
    return (Choice(counted[1]), int(counted[2])) if counted else None


def _is_source(name: str) -> bool:
    return name in SOURCES or (name.startswith(f"{LLM}:") and len(name) > len(LLM) + 1)
