"""Batches for the training: rows of several requests to one profile each, and random copies.

A row is a tree. What its prompts have in common stands at its beginning, once; every request and
its answer is a branch, which sees that beginning and itself, at the positions that it would have
without the others. So a profile is read once for many answers, and each answer is made as if its
request had been the only one.
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple

import torch
from transformers import PreTrainedTokenizerFast

from examples.bump_mini.corpus import Example, groups
from examples.bump_mini.language_model import END_OF_TURN

BATCH_TOKENS = 4_096
# A batch holds rows of one of these lengths. What does not fit the first is cut to it, by whole
# branches; what is one long branch may take the second, or is left out.
LENGTHS = (384, 512)
_CHUNK = 400  # groups
COPY_LENGTH = 128
# Among the corpus's batches, so that what copies does not forget how to copy anything at all.
_COPY_SHARE = 0.05
# In an answer the interests are the choice, and the rest is wording, which could have been another.
_INTEREST_WEIGHT = 4.0
# Profiles and requests are foretold a little too: which interests stand together, and what the
# people who have them ask, tells what belongs to what.
_BEGINNING_WEIGHT, _REQUEST_WEIGHT = 0.5, 0.1
_PADDING = -1


class Batch(NamedTuple):
    """All (B, T): token ids, their positions, their branches, and how much each is to be learnt.

    Branch 0 is the beginning, which all branches of its row see. An answer's weights sum to 1,
    be it long or short.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    branches: torch.Tensor
    weights: torch.Tensor


@dataclass(frozen=True, slots=True)
class Row:
    """A tree's tokens, as in `Batch`; `answers`: where answers stand, from and to."""

    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    branches: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    answers: list[tuple[int, int]] = field(default_factory=list)


class _Turn(NamedTuple):
    ids: list[int]
    weights: list[float]
    is_answer: bool


def rows_of(
    tokenizer: PreTrainedTokenizerFast, found: Sequence[Sequence[Example]], length: int
) -> list[Row]:
    """A row a group, of its first branches that fit into `length`; of one at least."""
    texts = [text for group in found for one in group for text in _texts(tokenizer, one)]
    encoded = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
    tokens = iter(zip(encoded["input_ids"], encoded["offset_mapping"], strict=True))
    return [_tree([_turns(one, tokens) for one in group], length) for group in found]


def _texts(tokenizer: PreTrainedTokenizerFast, example: Example) -> list[str]:
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


def _turns(
    example: Example, tokens: Iterator[tuple[list[int], list[tuple[int, int]]]]
) -> list[_Turn]:
    turns = []
    for answer in (example.answer, *(answer for _, answer in example.later)):
        ids, _ = next(tokens)
        turns.append(_Turn(ids, [_REQUEST_WEIGHT / len(ids)] * len(ids), is_answer=False))
        ids, places = next(tokens)
        turns.append(_Turn(ids, _answer_weights(example, answer, places), is_answer=True))
    return turns


def _answer_weights(
    example: Example, answer: str, places: Sequence[tuple[int, int]]
) -> list[float]:
    """One for every answer; of it more for the tokens that name what the person likes."""
    tastes = example.person.tastes if example.person else ()
    names = [re.escape(name) for taste in tastes for name in taste.liked]
    named = [found.span() for name in names for found in re.finditer(name, answer, re.IGNORECASE)]
    weights = [
        _INTEREST_WEIGHT if any(start < to and from_ < end for from_, to in named) else 1.0
        for start, end in places
    ]
    return [weight / sum(weights) for weight in weights]


def _tree(found: Sequence[list[_Turn]], length: int) -> Row:
    """The turns of each example as a branch, after what all their first turns begin with."""
    common = _in_common([turns[0].ids for turns in found]) if len(found) > 1 else 0
    beginning = found[0][0].ids[:common]
    row = Row()
    _add(row, beginning, [_BEGINNING_WEIGHT / max(common, 1)] * common, branch=0, position=0)
    for number, turns in enumerate(found, 1):
        first = turns[0]._replace(ids=turns[0].ids[common:], weights=turns[0].weights[common:])
        branch = [first, *turns[1:]]
        if number > 1 and len(row.ids) + sum(len(turn.ids) for turn in branch) > length:
            break
        # Not the token that follows in the row, but that of one branch, comes after the beginning.
        first.weights[:1] = [0.0] * len(first.weights[:1])
        position = common
        for turn in branch:
            if turn.is_answer:
                row.answers.append((len(row.ids), len(row.ids) + len(turn.ids)))
            _add(row, turn.ids, turn.weights, branch=number, position=position)
            position += len(turn.ids)
    return row


def _in_common(texts: Sequence[Sequence[int]]) -> int:
    """How many tokens they all begin with."""
    return sum(1 for _ in takewhile(lambda each: len(set(each)) == 1, zip(*texts, strict=False)))


def _add(
    row: Row, ids: Sequence[int], weights: Sequence[float], *, branch: int, position: int
) -> None:
    row.ids.extend(ids)
    row.positions.extend(range(position, position + len(ids)))
    row.branches.extend([branch] * len(ids))
    row.weights.extend(weights)


def batches(tokenizer: PreTrainedTokenizerFast, seed: int) -> Iterator[Batch]:
    """Batches of new examples, some random copies among them, without an end."""
    drawn = groups(seed)
    copying = copies(len(tokenizer), seed)
    chance = random.Random(seed)
    waiting: dict[int, list[Row]] = {length: [] for length in LENGTHS}
    while True:
        for row in rows_of(tokenizer, [next(drawn) for _ in range(_CHUNK)], LENGTHS[0]):
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
    shape = (len(rows), length)
    ids, positions = torch.full(shape, pad), torch.zeros(shape, dtype=torch.long)
    branches, weights = torch.full(shape, _PADDING), torch.zeros(shape)
    for place, row in enumerate(rows):
        end = len(row.ids)
        ids[place, :end] = torch.tensor(row.ids)
        positions[place, :end] = torch.tensor(row.positions)
        branches[place, :end] = torch.tensor(row.branches)
        weights[place, :end] = torch.tensor(row.weights)
    return Batch(ids, positions, branches, weights)


def attention_mask(branches: torch.Tensor) -> torch.Tensor:
    """What is added to the scores, (B, 1, T, T): a token sees the beginning and its own branch."""
    asking, seen = branches[:, :, None], branches[:, None, :]
    allowed = ((seen == 0) | (seen == asking)).tril()
    nothing = torch.zeros((), dtype=torch.bfloat16)
    return torch.where(allowed, nothing, torch.finfo(torch.bfloat16).min)[:, None]


def copies(vocabulary: int, seed: int, rows: int = BATCH_TOKENS // COPY_LENGTH) -> Iterator[Batch]:
    """Random tokens that come twice; the second time is to be learnt.

    Nothing but the text before says what comes next. So the model learns to copy, which a few
    million tokens of prose do not teach (induction heads: Olsson et al. 2022).
    """
    chance = random.Random(seed)
    draws = torch.Generator().manual_seed(seed)
    positions = torch.arange(COPY_LENGTH).expand(rows, -1)
    while True:
        ids = torch.zeros((rows, COPY_LENGTH), dtype=torch.long)
        weights = torch.zeros(ids.shape)
        for row in range(rows):
            length, between = chance.randint(6, 60), chance.randint(0, 30)
            first = torch.randint(3, vocabulary, (length + between,), generator=draws)
            text = torch.cat([first, first[:length]])[:COPY_LENGTH]
            ids[row, : len(text)] = text
            # The first token of the second time cannot be known.
            weights[row, length + between + 1 : len(text)] = 1.0
        yield Batch(ids, positions, torch.zeros_like(ids), weights)
