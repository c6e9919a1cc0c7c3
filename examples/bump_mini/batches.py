"""Batches for the training: rows of one example each, of a few lengths, and random copies."""

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from transformers import PreTrainedTokenizerFast

from examples.bump_mini.corpus import Example, examples
from examples.bump_mini.language_model import END_OF_TURN

BATCH_TOKENS = 4_096
# A batch holds examples of one of these lengths; what is longer is left out.
LENGTHS = (128, 192, 320, 512)
_CHUNK = 2_000  # examples
COPY_LENGTH = 128
# Among the corpus's batches, so that what copies does not forget how to copy anything at all.
_COPY_SHARE = 0.05


class Batch(NamedTuple):
    """Token ids and what is to be learnt of them, all (B, T); a target of -1 is not learnt.

    `weights`: how much each target counts. Every answer counts the same, long or short: of a long
    one most tokens are wording, which could have been another.
    """

    ids: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor


class Row(NamedTuple):
    """An example's tokens, and which of them are answers: from, to."""

    ids: Sequence[int]
    answers: Sequence[tuple[int, int]]


def rows_of(tokenizer: PreTrainedTokenizerFast, found: Sequence[Example]) -> list[Row]:
    texts = [text for one in found for text in _turns(tokenizer, one)]
    encoded = iter(tokenizer(texts, add_special_tokens=False)["input_ids"])
    return [_row(encoded, 1 + len(one.later)) for one in found]


def _turns(tokenizer: PreTrainedTokenizerFast, example: Example) -> list[str]:
    """What is asked and what is answered, in turns."""
    asked = tokenizer.apply_chat_template(
        [message.to_json() for message in example.messages],
        tokenize=False,
        add_generation_prompt=True,
    )
    texts = [asked, example.answer + END_OF_TURN]
    for request, answer in example.later:
        chat = [{"role": "user", "content": request}]
        again = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        texts += ["\n" + again, answer + END_OF_TURN]
    return texts


def _row(encoded: Iterator[list[int]], turns: int) -> Row:
    ids: list[int] = []
    answers = []
    for _ in range(turns):
        ids += next(encoded)
        start = len(ids)
        ids += next(encoded)
        answers.append((start, len(ids)))
    return Row(ids, answers)


def batches(tokenizer: PreTrainedTokenizerFast, seed: int) -> Iterator[Batch]:
    """Batches of new examples, some random copies among them, without an end."""
    drawn = examples(seed)
    copying = copies(len(tokenizer), seed)
    chance = random.Random(seed)
    waiting: dict[int, list[Row]] = {length: [] for length in LENGTHS}
    while True:
        for row in rows_of(tokenizer, [next(drawn) for _ in range(_CHUNK)]):
            length = next((each for each in LENGTHS if len(row.ids) <= each), None)
            if length:
                waiting[length].append(row)
        ready = []
        for length, rows in waiting.items():
            size = BATCH_TOKENS // length
            while len(rows) >= size:
                ready.append(padded(rows[:size], length, tokenizer.pad_token_id))
                del rows[:size]
        chance.shuffle(ready)
        for batch in ready:
            yield next(copying) if chance.random() < _COPY_SHARE else batch


def padded(rows: Sequence[Row], length: int, pad: int) -> Batch:
    ids = torch.full((len(rows), length), pad)
    targets = torch.full_like(ids, -1)
    weights = torch.zeros(ids.shape)
    for place, row in enumerate(rows):
        text = torch.tensor(row.ids)
        ids[place, : len(text)] = text
        for start, end in row.answers:
            targets[place, start:end] = text[start:end]
            weights[place, start:end] = 1 / (end - start)
    return Batch(ids, targets, weights)


def copies(vocabulary: int, seed: int, rows: int = BATCH_TOKENS // COPY_LENGTH) -> Iterator[Batch]:
    """Random tokens that come twice; the second time is to be learnt.

    Nothing but the text before says what comes next. So the model learns to copy, which a few
    million tokens of prose do not teach (induction heads: Olsson et al. 2022).
    """
    chance = random.Random(seed)
    draws = torch.Generator().manual_seed(seed)
    while True:
        ids = torch.zeros((rows, COPY_LENGTH), dtype=torch.long)
        targets = torch.full_like(ids, -1)
        for row in range(rows):
            length, between = chance.randint(6, 60), chance.randint(0, 30)
            first = torch.randint(3, vocabulary, (length + between,), generator=draws)
            text = torch.cat([first, first[:length]])[:COPY_LENGTH]
            ids[row, : len(text)] = text
            # The first token of the second time cannot be known.
            start = length + between + 1
            targets[row, start : len(text)] = text[start:]
        yield Batch(ids, targets, (targets >= 0).float())
