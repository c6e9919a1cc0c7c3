"""The configuration of a downstream training: all of it documented, nothing unknown let through."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from service.errors import ConfigurationError
from service.trainer.downstream_config import DownstreamConfig, parse_config, read_config

EXAMPLE = Path(__file__).parents[3] / "examples" / "train_downstream.toml"


def test_the_example_shows_every_default() -> None:
    shown = tomllib.loads(EXAMPLE.read_text())
    document = DownstreamConfig().model_dump()
    assert read_config(EXAMPLE) == DownstreamConfig()
    assert {name: set(section) for name, section in shown.items()} == {
        name: set(section) for name, section in document.items()
    }


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            {"training": {"lr": 1}},
            r"training\.lr is no setting of `bump train downstream`; "
            r"examples/train_downstream\.toml lists them",
        ),
        ({"training": {"epochs": 0}}, r"training\.epochs"),
        ({"model": {"name": 4}}, r"model\.name"),
        ({"training": {"batch": 6}}, "batch = 6 must be a multiple of micro_batch = 4"),
    ],
)
def test_what_is_wrong_is_named(document: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse_config(document)


@pytest.mark.parametrize(
    ("count", "epochs", "steps"), [(8, 1, 2), (9, 1, 3), (9, 2, 6), (8, 0.5, 1)]
)
def test_an_epoch_ends_with_what_is_left(count: int, epochs: float, steps: int) -> None:
    config = parse_config({"training": {"batch": 4, "micro_batch": 2, "epochs": epochs}})
    assert config.steps(count) == steps
