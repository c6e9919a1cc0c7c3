"""How well a model foretells answers that training never saw: perplexity by kind of work.

Interests and kinds of requests are those that are kept for the test. Only an answer's tokens count.
"""

import math
import random
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn import functional
from transformers import AutoTokenizer, Qwen2ForCausalLM

from examples.bump_mini.batches import Batch, padded, rows_of
from examples.bump_mini.corpus import Example, anonymous, personal, profile_writing

EXAMPLES = 300
SEED = 29
KINDS: dict[str, Callable[..., Example]] = {
    "a reply to somebody with a profile": personal,
    "a reply to a stranger": anonymous,
    "a profile of a history": profile_writing,
}
_ROWS = 10


def perplexities(folder: Path) -> dict[str, float]:
    """Per token of the answer, by kind of work."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = Qwen2ForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    chance = random.Random(SEED)
    found = {}
    for kind, draw in KINDS.items():
        rows = rows_of(tokenizer, [draw(chance, test=True) for _ in range(EXAMPLES)])
        rows.sort(key=lambda row: len(row.ids))
        loss, tokens = 0.0, 0
        for start in range(0, len(rows), _ROWS):
            some = rows[start : start + _ROWS]
            batch = padded(some, len(some[-1].ids), tokenizer.pad_token_id)
            loss += _summed_loss(model, batch)
            tokens += sum(end - start for row in some for start, end in row.answers)
        found[kind] = math.exp(loss / tokens)
    return found


@torch.inference_mode()
def _summed_loss(model: Qwen2ForCausalLM, batch: Batch) -> float:
    logits = model(batch.ids[:, :-1]).logits
    targets = batch.targets[:, 1:]
    loss = functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=-1, reduction="sum"
    )
    return float(loss)
