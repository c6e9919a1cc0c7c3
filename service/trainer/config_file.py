"""What the configurations of trainings have in common: one TOML file, nothing unknown in it."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError

from service.errors import ConfigurationError

Share = Annotated[float, Field(ge=0, le=1)]
Config = TypeVar("Config", bound=BaseModel)


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LoraTraining(Section):
    """What every training of a LoRA is told. `warmup` is a share of its steps."""

    micro_batch: PositiveInt = 8
    learning_rate: PositiveFloat = 1e-5
    warmup: Share = 0.05
    precision: Literal["bf16", "fp32"] = "bf16"
    save_every: PositiveInt = 10
    seed: int = 7


def read_toml(path: Path) -> dict[str, Any]:
    """Raises ConfigurationError."""
    try:
        return tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}.") from error


def validated(kind: type[Config], document: dict[str, Any], command: str) -> Config:
    """Raises ConfigurationError naming the key that is wrong, unknown or missing.

    `command` is a subcommand such as `train llm`, whose example lists all keys.
    """
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        told = [_told(problem, command) for problem in error.errors(include_url=False)]
        raise ConfigurationError("; ".join(told)) from None


def _told(problem: Any, command: str) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        example = f"examples/{command.replace(' ', '_')}.toml"
        return f"{key} is no setting of `bump {command}`; {example} lists them"
    reason = problem["msg"].removeprefix("Value error, ")
    return f"{key}: {reason}" if key else reason
