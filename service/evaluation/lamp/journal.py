"""What a run has finished, a JSON line each, so that one that was killed goes on from there."""

import hashlib
from pathlib import Path
from typing import Any

import orjson

from service.evaluation.lamp.reading import UnreadableData

Document = dict[str, Any]


class Journal:
    """Documents by key in a file that only grows; in memory alone without a file.

    One process at a time writes to a file. Raises UnreadableData for a line that is none of ours;
    a last line that was cut short is forgotten, and gone afterwards.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: dict[str, Document] = {}
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path.exists():
            self._known = _read(path)

    def get(self, key: str) -> Document | None:
        return self._known.get(key)

    def add(self, key: str, document: Document) -> None:
        """The document must not hold `key` itself as a field."""
        self._known[key] = document
        if self._path is not None:
            with self._path.open("ab") as file:
                file.write(orjson.dumps({"key": key, **document}) + b"\n")


def digest(*parts: Any) -> str:
    """A key: 32 hex digits over JSON values and dataclasses."""
    content = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(content).hexdigest()[:32]


def _read(path: Path) -> dict[str, Document]:
    *lines, cut = path.read_bytes().split(b"\n")
    known = {}
    for number, line in enumerate(lines, 1):
        try:
            document = orjson.loads(line)
            known[str(document.pop("key"))] = document
        except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
            raise UnreadableData(
                f"Line {number} of {path} is none that a run has written: move the file away."
            ) from error
    if cut:
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size - len(cut))
    return known
