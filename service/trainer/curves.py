"""Curves of a training run, kept beside it: `metrics.jsonl`, and event files for TensorBoard."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson
from tensorboardX import SummaryWriter

_FILE = "metrics.jsonl"


class Curves:
    """Writes a row of numbers a step into `folder`, at once readable by others.

    A run that goes on from a checkpoint names the step it goes on `after`: what the broken run
    had written beyond it is dropped, and comes again.
    """

    def __init__(self, folder: Path, *, after: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        kept = [row for row in read_curves(folder) if row["step"] <= after]
        path = folder / _FILE
        path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in kept))
        self._lines = path.open("ab")
        self._events = SummaryWriter(str(folder), purge_step=after + 1, write_to_disk=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lines.close()
        self._events.close()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """One point of every curve in `values`; steps count from 1."""
        self._lines.write(orjson.dumps({"step": step, **values}) + b"\n")
        self._lines.flush()
        for name, value in values.items():
            self._events.add_scalar(name, value, step)
        self._events.flush()


def read_curves(folder: Path) -> list[dict[str, Any]]:
    """The rows of `metrics.jsonl`, in order; a last line that was cut short is left out."""
    path = folder / _FILE
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    return [orjson.loads(line) for line in lines]
