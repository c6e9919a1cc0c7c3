"""The fictional users of `make demo`, sent in by halves, so that their profiles can be scored."""

from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson

from tests.console.conftest import Project

HISTORIES = Path(__file__).parents[2] / "examples/demo/histories.jsonl"
PARTS = (0, 20, 32, 44)
ADA = "ada-trail-runner"


def histories() -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in HISTORIES.read_bytes().splitlines():
        interaction = orjson.loads(line)
        found[interaction["user_id"]].append(interaction)
    return found


async def move_in(project: Project) -> None:
    """Three versions of everybody, the first two of them scored."""
    for start, end in pairwise(PARTS):
        await project.post([one for user in histories().values() for one in user[start:end]])


async def ada_moves_in(project: Project) -> None:
    """One user with a profile."""
    await project.post(histories()[ADA][:20])
