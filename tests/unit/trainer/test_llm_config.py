"""The configuration of an LLM training: all of it documented, nothing unknown let through."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from service.errors import ConfigurationError
from service.trainer.llm_config import LlmConfig, RolloutConfig, parse_config, read_config

EXAMPLE = Path(__file__).parents[3] / "examples" / "train_llm.toml"
HTTP = {"rollouts": {"url": "http://127.0.0.1:8000/v1"}}


def test_the_example_shows_every_default() -> None:
    shown = tomllib.loads(EXAMPLE.read_text())
    defaults = LlmConfig(rollouts=RolloutConfig(url=shown["rollouts"]["url"]))
    assert read_config(EXAMPLE) == defaults
    document = defaults.model_dump(exclude_none=True)
    assert {name: set(section) for name, section in shown.items()} == {
        name: set(section) for name, section in document.items()
    }


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({**HTTP, "training": {"lr": 1}}, "training.lr is no setting"),
        ({**HTTP, "policies": {}}, "policies is no setting"),
        ({**HTTP, "training": {"group": 1}}, "training.group"),
        ({**HTTP, "training": {"users": 8}}, "training.users = 8 must be more than"),
        ({"rollouts": {}}, "needs url"),
        ({}, "rollouts: Field required"),
    ],
)
def test_what_is_wrong_is_named(document: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse_config(document)


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "train.toml"
    path.write_text("[training\n")
    with pytest.raises(ConfigurationError, match=r"train.toml cannot be read"):
        read_config(path)
