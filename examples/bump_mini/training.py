"""Trains bump-mini from nothing: first to copy, then on the corpus. Resumes where it was killed.

    python -m examples.bump_mini.training --output FOLDER [--tokens 22_000_000]

Next-token training in bfloat16 on the CPU. `FOLDER` gets the model as transformers and vLLM load
it, and `losses.jsonl`.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from tqdm import tqdm
from transformers import AutoTokenizer, PreTrainedTokenizerFast, Qwen2ForCausalLM

from examples.bump_mini.batches import Batch, attention_mask, batches, copies
from examples.bump_mini.corpus import examples
from examples.bump_mini.induction import plant_induction
from examples.bump_mini.language_model import make_model, train_tokenizer
from examples.bump_mini.optimizers import optimizers

SEED = 1
TOKENIZER_EXAMPLES = 6_000
COPY_TOKENS = 600_000
COPY_RATE, RATE = 2e-3, 3e-3
_SAVE_SECONDS = 120
_LOGGED_STEPS = 20


@dataclass
class Stage:
    """How far a stage of the training has come.

    The first part, `gently` of it, goes at half the rate: the whole one breaks the planted heads.
    """

    name: str
    tokens: int
    rate: float
    gently: float = 0.0
    done: int = 0
    steps: int = 0

    @property
    def share(self) -> float:
        return self.done / self.tokens

    def rate_now(self) -> float:
        """Up within the first hundredth, level, and down to nothing over the last half."""
        level = 0.5 if self.share < self.gently else 1.0
        return self.rate * min(self.share / 0.01 + 0.01, level, 2 * (1 - self.share))


class Training:
    """A model, its optimizers and what they have seen."""

    def __init__(self, folder: Path, model: Qwen2ForCausalLM, stages: list[Stage]) -> None:
        self.model = model
        self.stages = stages
        self._folder = folder
        self._optimizers = optimizers(model, RATE)
        self._loss = torch.compile(mean_loss, dynamic=False)
        self._saved = time.monotonic()
        self._resume()

    def run(self, stage: Stage, drawn: Iterator[Batch]) -> None:
        """Train to the stage's end. `drawn` goes on with what has not been seen."""
        self.model.train()
        with (
            (self._folder / "losses.jsonl").open("a") as log,
            tqdm(total=stage.tokens, initial=stage.done, unit="tok", desc=stage.name) as bar,
        ):
            while stage.share < 1:
                batch = next(drawn)
                loss = self._step(batch, stage.rate_now())
                stage.done += batch.ids.numel()
                stage.steps += 1
                bar.update(batch.ids.numel())
                if stage.steps % _LOGGED_STEPS == 0:
                    row = {"stage": stage.name, "tokens": stage.done, "loss": round(loss.item(), 4)}
                    log.write(json.dumps(row) + "\n")
                    log.flush()
                    bar.set_postfix(loss=row["loss"])
                if time.monotonic() - self._saved > _SAVE_SECONDS:
                    self.save()
        self.save()

    def save(self) -> None:
        state: dict[str, Any] = {
            "model": self.model.state_dict(),
            "optimizers": [each.state_dict() for each in self._optimizers],
            "stages": [vars(stage) for stage in self.stages],
        }
        torch.save(state, self._folder / "checkpoint.new")
        (self._folder / "checkpoint.new").replace(self._folder / "checkpoint.pt")
        self._saved = time.monotonic()

    def _resume(self) -> None:
        path = self._folder / "checkpoint.pt"
        if not path.exists():
            return
        state = torch.load(path)
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        for stage, saved in zip(self.stages, state["stages"], strict=True):
            stage.done, stage.steps = saved["done"], saved["steps"]

    def _step(self, batch: Batch, rate: float) -> torch.Tensor:
        for optimizer in self._optimizers:
            optimizer.param_groups[0]["lr"] = rate
        loss = self._loss(self.model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self._optimizers:
            optimizer.step()
            optimizer.zero_grad()
        return loss.detach()


def mean_loss(model: Qwen2ForCausalLM, batch: Batch) -> torch.Tensor:
    """The loss of every token from those that it sees, weighed."""
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(
            batch.ids[:, :-1],
            position_ids=batch.positions[:, :-1],
            attention_mask=attention_mask(batch.branches[:, :-1]),
        ).logits
    losses = functional.cross_entropy(
        logits.flatten(0, 1).float(), batch.ids[:, 1:].flatten(), reduction="none"
    )
    weights = batch.weights[:, 1:].flatten()
    return (losses * weights).sum() / weights.sum()


def open_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The one that `folder` holds; made from the corpus where it holds none."""
    if not (folder / "tokenizer.json").exists():
        found = islice(examples(SEED), TOKENIZER_EXAMPLES)
        texts = (
            text for one in found for text in (*(str(m.content) for m in one.messages), one.answer)
        )
        train_tokenizer(texts).save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def main() -> None:
    arguments = _arguments()
    folder: Path = arguments.output
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    tokenizer = open_tokenizer(folder)
    stages = [
        Stage("copying", COPY_TOKENS, COPY_RATE),
        Stage("corpus", arguments.tokens, RATE, gently=0.2),
    ]
    model = make_model(tokenizer, SEED)
    plant_induction(model, SEED)
    training = Training(folder, model, stages)
    copying, corpus = stages
    training.run(copying, copies(len(tokenizer), SEED + copying.steps))
    # After a restart the corpus is drawn by another seed: nothing comes twice.
    training.run(corpus, batches(tokenizer, SEED + 1 + corpus.steps))
    training.model.save_pretrained(folder)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=22_000_000)
    parser.add_argument("--threads", type=int, default=0, help="as many as there are cores")
    return parser.parse_args()


if __name__ == "__main__":
    main()
