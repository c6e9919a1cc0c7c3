"""docs/api.md names every problem that a caller can meet, with its status."""

import re
from pathlib import Path

from service import errors
from service.errors import BumpError

PAGE = (Path(__file__).parents[2] / "docs/api.md").read_text()
_ROW = re.compile(r"^\| ([0-9, ]+) \| (`.+?`) \|", re.MULTILINE)
# Bases, which are never raised as such.
BASES = {"bad-request", "unprocessable", "internal-error"}


def test_every_problem_stands_beside_its_status() -> None:
    stated = {
        (slug, int(status))
        for statuses, slugs in _ROW.findall(PAGE)
        for status in statuses.split(",")
        for slug in re.findall(r"`([a-z-]+)`", slugs)
    }
    known = {(kind.slug, kind.status) for kind in problems()}
    assert known - stated == set()
    assert {slug for slug, _ in stated} == {slug for slug, _ in known}


def problems() -> list[type[BumpError]]:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    return [k for k in kinds if issubclass(k, BumpError) and k.slug not in BASES]
