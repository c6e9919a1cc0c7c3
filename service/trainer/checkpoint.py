"""A run of the extractive trainer on disk, so that one that was killed goes on."""

import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import ConfigurationError
from service.trainer.extractive import Ascent

_FILE = "checkpoint.npz"
_RUN = "run"
_FIELDS = fields(Ascent)


def save(folder: Path, progress: Ascent, run: str) -> None:
    """Replace the checkpoint at once; `run` names what the run was told, by a digest."""
    values: dict[str, Any] = {field.name: getattr(progress, field.name) for field in _FIELDS}
    values[_RUN] = run
    path = folder / _FILE
    partial = path.with_suffix(".part")
    with partial.open("wb") as file:
        np.savez(file, **values)
    os.replace(partial, path)


def load(folder: Path, run: str) -> Ascent | None:
    """Where the run stopped; None where it never began.

    Raises ConfigurationError for the checkpoint of another run.
    """
    path = folder / _FILE
    if not path.exists():
        return None
    with np.load(path) as stored:
        if str(stored[_RUN]) != run:
            raise ConfigurationError(
                f"{folder} holds another run (other data, seed or settings): name an empty folder."
            )
        return Ascent(**{field.name: _value(stored[field.name]) for field in _FIELDS})


def _value(stored: NDArray[Any]) -> Any:
    return stored if stored.ndim else stored.item()
