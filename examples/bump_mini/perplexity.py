"""How well a model foretells answers that training never saw: perplexity by kind of work.

Interests and kinds of requests are those that are kept for the test. Only an answer's tokens count.
"""

import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch.nn import functional
from transformers import AutoTokenizer, Qwen2ForCausalLM

from examples.bump_mini.batches import LENGTHS, Row, padded, rows_of
from examples.bump_mini.corpus import Example, anonymous, personal, profile_writing

EXAMPLES = 300
SEED = 29
KINDS: dict[str, Callable[..., Example]] = {
    "a reply to somebody with a profile": personal,
    "a reply to a stranger": anonymous,
    "a profile of a history": profile_writing,
}
_ROWS = 10
_LENGTH = max(LENGTHS)


def perplexities(folder: Path) -> dict[str, float]:
    """Per token of the answer, by kind of work."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = Qwen2ForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    chance = random.Random(SEED)
    found = {}
    for kind, draw in KINDS.items():
        rows = rows_of(tokenizer, [[draw(chance, test=True)] for _ in range(EXAMPLES)], _LENGTH)
        rows.sort(key=lambda row: len(row.ids))
        loss, tokens = 0.0, 0
        for start in range(0, len(rows), _ROWS):
            some = rows[start : start + _ROWS]
            loss += _summed_loss(model, some, tokenizer.pad_token_id)
            tokens += sum(end - start for row in some for start, end in row.answers)
        found[kind] = math.exp(loss / tokens)
    return found


@torch.inference_mode()
def _summed_loss(model: Qwen2ForCausalLM, rows: Sequence[Row], pad: int) -> float:
    ids = padded(rows, max(len(row.ids) for row in rows), pad).ids
    targets = torch.full_like(ids, -1)
    for place, row in enumerate(rows):
        for start, end in row.answers:
            targets[place, start:end] = ids[place, start:end]
    logits = model(ids[:, :-1]).logits
    loss = functional.cross_entropy(
        logits.flatten(0, 1), targets[:, 1:].flatten(), ignore_index=-1, reduction="sum"
    )
    return float(loss)
