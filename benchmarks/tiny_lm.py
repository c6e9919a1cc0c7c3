"""A language model of 0.7 million parameters, trained from scratch on the CPU in minutes.

Small enough to show on any machine that the trainer works on a model that has learnt something. It
copies from its prompt and knows the form of a profile; it follows no instructions, so its chat
template leaves the system message out, and the prompts stay short.
"""

import json
import lzma
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from transformers import AutoTokenizer, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from examples.bump_mini.batches import Batch
from examples.bump_mini.language_model import END_OF_TEXT, END_OF_TURN, START_OF_TURN
from examples.bump_mini.optimizers import optimizers

VOCABULARY = 1_024
CONTEXT_TOKENS = 1_024
BLOCK_TOKENS = 512
BLOCKS_A_STEP = 12
COPYING_BLOCKS_A_STEP = 48


@dataclass(frozen=True, slots=True)
class Pair:
    """What the warm start learns: the user message of a profile request, and its answer."""

    request: str
    answer: str

    @property
    def prompt(self) -> str:
        return f"{START_OF_TURN}user\n{self.request}{END_OF_TURN}\n{START_OF_TURN}assistant\n"

    @property
    def completion(self) -> str:
        return self.answer + END_OF_TURN


def read_posts(path: Path, limit: int) -> list[str]:
    """The first `limit` posts of a file in which an empty line parts them."""
    with lzma.open(path, "rt") as file:
        posts = file.read().split("\n\n")
    return [post.strip() for post in posts[:limit] if post.strip()]


def make_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> Qwen2ForCausalLM:
    """0.7 million random weights."""
    torch.manual_seed(seed)
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=352,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=CONTEXT_TOKENS,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.convert_tokens_to_ids(END_OF_TURN),
            pad_token_id=tokenizer.convert_tokens_to_ids(END_OF_TEXT),
        )
    )


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long a stage lasts, and how fast it learns."""

    tokens: int
    learning_rate: float


def fit(model: Qwen2ForCausalLM, blocks: Iterator[Batch], schedule: Schedule, log: Path) -> None:
    """Next-token training.

    The rate warms up over 2 % of the tokens and then falls to nothing in a straight line. Losses
    go to `log`, a line every 20 steps.
    """
    rate = schedule.learning_rate
    steppers = optimizers(model, rate)
    loss_of = torch.compile(_loss)
    model.train()
    started = time.monotonic()
    tokens, step = 0, 0
    with log.open("a") as lines:
        while (share := tokens / schedule.tokens) < 1:
            for optimizer in steppers:
                optimizer.param_groups[0]["lr"] = rate * min(share / 0.02 + 0.01, 1 - share)
            block = next(blocks)
            loss = loss_of(model, block)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimizer in steppers:
                optimizer.step()
                optimizer.zero_grad()
            tokens += block.ids.numel()
            step += 1
            if step % 20 == 0:
                row = {"step": step, "loss": round(loss.item(), 4), "tokens": tokens}
                row["seconds"] = round(time.monotonic() - started, 1)
                lines.write(json.dumps(row) + "\n")
                lines.flush()
    model.eval()


def _loss(model: Qwen2ForCausalLM, block: Batch) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(block.ids[:, :-1]).logits
    targets = block.ids[:, 1:].masked_fill(block.weights[:, 1:] == 0, -1)
    return functional.cross_entropy(
        logits.float().flatten(0, 1), targets.flatten(), ignore_index=-1
    )


def answer_blocks(
    tokenizer: PreTrainedTokenizerFast, pairs: Sequence[Pair], seed: int
) -> Iterator[Batch]:
    """Pairs in random order, a row each, of which only the answers are to be learnt."""
    requests = _encode(tokenizer, [pair.prompt for pair in pairs])
    answers = _encode(tokenizer, [pair.completion for pair in pairs])
    chance = random.Random(seed)
    while True:
        ids = torch.full((BLOCKS_A_STEP, BLOCK_TOKENS), tokenizer.pad_token_id)
        weights = torch.zeros(ids.shape)
        for row, place in enumerate(chance.choices(range(len(pairs)), k=BLOCKS_A_STEP)):
            start = len(requests[place])
            text = (requests[place] + answers[place])[:BLOCK_TOKENS]
            ids[row, : len(text)] = torch.tensor(text)
            weights[row, start : len(text)] = 1.0
        positions = torch.arange(BLOCK_TOKENS).expand(BLOCKS_A_STEP, -1)
        yield Batch(ids, positions, torch.zeros_like(ids), weights)


def _encode(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> list[list[int]]:
    ids: list[list[int]] = []
    for start in range(0, len(texts), 1_000):
        ids += tokenizer(list(texts[start : start + 1_000]), add_special_tokens=False)["input_ids"]
    return ids


def save(model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def load(folder: Path) -> tuple[Qwen2ForCausalLM, Any]:
    return (
        Qwen2ForCausalLM.from_pretrained(folder, dtype=torch.float32),
        AutoTokenizer.from_pretrained(folder),
    )
