"""What `bump train downstream` is told: one TOML file, every value of which has a default.

The defaults are ours: the BUMP paper's settings for its downstream models are not known to us.
`examples/train_downstream.toml` lists all of them.
"""

from math import ceil
from pathlib import Path
from typing import Any, Self

from pydantic import PositiveFloat, PositiveInt, model_validator

from service.trainer.config_file import LoraTraining, Section, read_toml, validated


class ModelConfig(Section):
    """The model that learns to answer. A demonstration of more than `max_tokens`, prompt and
    answer, is left out: one that is cut would teach an answer that breaks off."""

    name: str = "Qwen/Qwen3-4B-Instruct-2507"
    lora_rank: PositiveInt = 32
    lora_alpha: PositiveInt = 64
    max_tokens: PositiveInt = 5_120


class TrainingConfig(LoraTraining):
    """A step takes `batch` demonstrations, `micro_batch` of them at a time on each process."""

    epochs: PositiveFloat = 2.0
    batch: PositiveInt = 64
    micro_batch: PositiveInt = 4
    learning_rate: PositiveFloat = 1e-4
    save_every: PositiveInt = 50

    @model_validator(mode="after")
    def _shares_out_its_batch(self) -> Self:
        if self.batch % self.micro_batch:
            raise ValueError(
                f"batch = {self.batch} must be a multiple of micro_batch = {self.micro_batch}"
            )
        return self


class DownstreamConfig(Section):
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()

    def steps(self, demonstrations: int) -> int:
        """Of the whole training; the last of an epoch may take fewer than `batch`."""
        return ceil(self.training.epochs * ceil(demonstrations / self.training.batch))


def read_config(path: Path) -> DownstreamConfig:
    """Raises ConfigurationError naming the key that is wrong or unknown."""
    return parse_config(read_toml(path))


def parse_config(document: dict[str, Any]) -> DownstreamConfig:
    return validated(DownstreamConfig, document, "train downstream")
