"""LoRA-SFT of a downstream model on demonstrations: TRL's trainer, for `bump train downstream`.

On one process or, started by `torchrun` or `accelerate launch`, on several. Everything lands in one
folder: `metrics.jsonl` and event files, `checkpoints/`, and in the end `adapter/`.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState
from datasets import Dataset
from transformers import AutoTokenizer
from trl import SFTConfig, SFTTrainer

from service.errors import ConfigurationError
from service.evaluation.lamp.demonstrations import Demonstration
from service.trainer.curves import Curves
from service.trainer.downstream_config import DownstreamConfig
from service.trainer.lora_run import (
    CurveCallback,
    last_checkpoint,
    lora,
    run_arguments,
    step_of,
)


@dataclass(frozen=True, slots=True)
class Taught:
    """`samples`: ids of what was trained on; `too_long`: how many were left out."""

    adapter: Path
    samples: tuple[str, ...]
    too_long: int


def train(
    config: DownstreamConfig, demonstrations: Sequence[Demonstration], folder: Path
) -> Taught | None:
    """Train, or go on from the last checkpoint in `folder`.

    None on every process but the first, which does what is to be done once. Raises
    ConfigurationError for a model that cannot be loaded, or whose template asks otherwise than it
    teaches, and for a batch that does not fit the processes.
    """
    fitting = _fitting(config, demonstrations)
    checkpoint = last_checkpoint(folder)
    trainer = make_trainer(config, fitting, folder)
    first, after = trainer.is_world_process_zero(), step_of(checkpoint) if checkpoint else 0
    with Curves(folder, after=after) if first else nullcontext() as curves:
        if curves:
            trainer.add_callback(CurveCallback(curves, marker="loss"))
        trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
    if not first:
        return None
    adapter = folder / "adapter"
    trainer.accelerator.unwrap_model(trainer.model).save_pretrained(adapter)
    return Taught(
        adapter,
        tuple(one.sample_id for one in fitting),
        too_long=len(demonstrations) - len(fitting),
    )


def make_trainer(
    config: DownstreamConfig, demonstrations: Sequence[Demonstration], folder: Path
) -> SFTTrainer:
    """TRL's trainer over `demonstrations`; only answers, with the end of their turn, have a loss.

    Raises ConfigurationError for a batch that does not fit the processes.
    """
    rows = [one.to_json() for one in demonstrations]
    columns = {name: [row[name] for row in rows] for name in ("prompt", "completion")}
    return SFTTrainer(
        model=config.model.name,
        args=_arguments(config, len(rows), folder),
        train_dataset=Dataset.from_dict(columns),
        peft_config=lora(config.model.lora_rank, config.model.lora_alpha),
    )


def _arguments(config: DownstreamConfig, demonstrations: int, folder: Path) -> SFTConfig:
    training = config.training
    at_once = training.micro_batch * PartialState().num_processes
    rounds, rest = divmod(training.batch, at_once)
    if rest or not rounds:
        raise ConfigurationError(
            f"A step's {training.batch} demonstrations cannot be shared out by {at_once} "
            "(training.micro_batch times the processes): choose numbers that divide."
        )
    return SFTConfig(
        **run_arguments(training, folder, config.steps(demonstrations)),
        gradient_accumulation_steps=rounds,
        completion_only_loss=True,
        # What is too long was left out; nothing is cut.
        max_length=None,
    )


def _fitting(
    config: DownstreamConfig, demonstrations: Sequence[Demonstration]
) -> list[Demonstration]:
    """Those of `max_tokens` at most, by the model's own template and tokenizer."""
    model = config.model
    try:
        tokenizer = AutoTokenizer.from_pretrained(model.name)
        fitting = [one for one in demonstrations if _tokens(tokenizer, one) <= model.max_tokens]
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigurationError(f"{model.name} cannot be trained: {reason}") from error
    if not fitting:
        raise ConfigurationError(
            f"All of {len(demonstrations)} demonstrations take more than model.max_tokens = "
            f"{model.max_tokens}."
        )
    return fitting


def _tokens(tokenizer: Any, one: Demonstration) -> int:
    """Of prompt and answer. Raises ValueError where the prompt with its answer does not begin as
    the prompt alone: a server would then be asked what the model was never taught."""
    row = one.to_json()
    render = {"tokenize": True, "return_dict": False}
    asked = tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, **render)
    whole = tokenizer.apply_chat_template(row["prompt"] + row["completion"], **render)
    if whole[: len(asked)] != asked:
        raise ValueError("its chat template writes a prompt differently once an answer follows.")
    return len(whole)
