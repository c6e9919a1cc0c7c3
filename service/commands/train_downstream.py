"""`bump train downstream`: demonstrations and a configuration in, an adapter with its card out."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from service.commands.training_libraries import not_installed
from service.domain.prompts import count_tokens
from service.domain.tokens import estimate_tokens
from service.errors import ConfigurationError
from service.evaluation.lamp.demonstrations import Demonstration, Demonstrations, read
from service.evaluation.lamp.reading import UnreadableData
from service.trainer.curves import read_curves
from service.trainer.downstream_config import DownstreamConfig, read_config
from service.trainer.export import DownstreamCard, user_digests, write_downstream_card

if TYPE_CHECKING:
    from service.trainer.downstream import Taught

Train = Callable[[DownstreamConfig, Sequence[Demonstration], Path], "Taught | None"]

_WEIGHTS = "adapter_model.safetensors"
_RUN = "run"


def train_downstream(config_file: Path, file: Path, folder: Path) -> Path | None:
    """The folder of the adapter. A run that was killed goes on from its last checkpoint.

    None where another process of the same run does the finishing. Raises ConfigurationError for
    what cannot be trained like this, and for a folder that holds another run.
    """
    folder = folder.absolute()
    config, found = read_config(config_file), _read(file)
    trainer = _trainer()
    _claim(folder, config, file)
    taught = trainer(config, found.rows, folder)
    if taught is None:
        return None
    write_downstream_card(taught.adapter, _WEIGHTS, _card(config, found, taught, folder))
    return taught.adapter


def preview(config_file: Path, file: Path) -> dict[str, Any]:
    """What a run would do, with nothing loaded: its settings checked, steps, tokens as estimated.

    Raises ConfigurationError for what could not run.
    """
    config, found = read_config(config_file), _read(file)
    tokens = [
        count_tokens(one.prompt, estimate_tokens) + estimate_tokens(one.answer)
        for one in found.rows
    ]
    return {
        "settings": config.model_dump(mode="json"),
        "origin": dict(found.origin),
        "demonstrations": len(found.rows),
        "steps": config.steps(len(found.rows)),
        "estimated_tokens": {
            "mean": round(fmean(tokens)),
            "most": max(tokens),
            "epoch": sum(tokens),
            "too_long": sum(one > config.model.max_tokens for one in tokens),
        },
        "first": found.rows[0].to_json(),
    }


def _read(file: Path) -> Demonstrations:
    try:
        return read(file)
    except UnreadableData as error:
        raise ConfigurationError(str(error)) from error


def _trainer() -> Train:
    """`service.trainer.downstream.train`. Raises ConfigurationError without its libraries."""
    try:
        from service.trainer.downstream import train
    except ImportError as error:
        raise not_installed(error) from error
    return train


def _claim(folder: Path, config: DownstreamConfig, file: Path) -> None:
    """Remember what the folder's checkpoints were taught. Raises ConfigurationError where that was
    something else: going on from them would give an adapter of two runs."""
    told = hashlib.sha256(config.model_dump_json().encode() + file.read_bytes()).hexdigest()
    path = folder / _RUN
    if path.exists() and path.read_text() != told:
        raise ConfigurationError(
            f"{folder} holds another run (other demonstrations or settings): name an empty folder."
        )
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(told)


def _card(
    config: DownstreamConfig, found: Demonstrations, taught: "Taught", folder: Path
) -> DownstreamCard:
    return DownstreamCard(
        base=config.model.name,
        origin=found.origin,
        users=user_digests(taught.samples),
        too_long=taught.too_long,
        curve=tuple((row["step"], row["loss"]) for row in read_curves(folder)),
        settings=config.model_dump(mode="json"),
    )
