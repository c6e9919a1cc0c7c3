"""What trainings of a LoRA by TRL have in common: the folder, the arguments, the curves."""

import math
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from peft import LoraConfig
from transformers import TrainerCallback

from service.trainer.config_file import LoraTraining
from service.trainer.curves import Curves


class CurveCallback(TrainerCallback):
    """Every step's numbers to the curves; what is not a finite number is left out.

    Only rows with the number `marker`: the summary of the whole run, logged last, has none.
    """

    def __init__(self, curves: Curves, *, marker: str) -> None:
        self._curves, self._marker = curves, marker

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if self._marker not in logs:
            return
        numbers = {name: float(v) for name, v in logs.items() if isinstance(v, int | float)}
        self._curves.log(
            state.global_step, {name: v for name, v in numbers.items() if math.isfinite(v)}
        )


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end: its state is what comes last."""
    written = (folder / "checkpoints").glob("checkpoint-*/trainer_state.json")
    return max((state.parent for state in written), key=step_of, default=None)


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def lora(rank: int, alpha: int) -> LoraConfig:
    """On every linear layer but the head, which is what vLLM loads."""
    return LoraConfig(r=rank, lora_alpha=alpha, target_modules="all-linear", task_type="CAUSAL_LM")


def run_arguments(training: LoraTraining, folder: Path, steps: int) -> dict[str, Any]:
    """Arguments of TRL's trainers for a run of `steps` whose checkpoints lie in `folder`."""
    cuda = torch.cuda.is_available()
    return {
        "output_dir": str(folder / "checkpoints"),
        "per_device_train_batch_size": training.micro_batch,
        "max_steps": steps,
        "learning_rate": training.learning_rate,
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": int(training.warmup * steps),
        "model_init_kwargs": {"dtype": "bfloat16" if training.precision == "bf16" else "float32"},
        "bf16": training.precision == "bf16",
        "use_cpu": not cuda,
        "gradient_checkpointing": cuda,
        "save_steps": training.save_every,
        "save_total_limit": 2,
        "logging_steps": 1,
        "report_to": "none",
        "disable_tqdm": not PartialState().is_main_process,
        "seed": training.seed,
    }
