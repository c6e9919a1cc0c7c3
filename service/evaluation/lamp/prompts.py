"""LaMP's own prompts with retrieved entries, and how it makes room for them.

The wording, its slips included, and the arithmetic of the truncation are those of
LaMP-Benchmark/LaMP, `LaMP/prompts/prompts.py`: numbers are comparable only with the same bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import tokenizers

from service.domain.interaction import Interaction
from service.evaluation.lamp.tasks import Task

_JOIN = ", and "
_JOIN_TOKENS = 2
_QUOTE_TOKENS = 2
_PATTERNS = "Following the given patterns"


class Tokenizer(Protocol):
    """Counts and cuts as the downstream model's tokenizer does."""

    def count(self, text: str) -> int:
        """Tokens of `text`, with those that are added to every text."""
        ...

    def truncate(self, text: str, max_tokens: int) -> tuple[str, int]:
        """The beginning of `text` that takes `max_tokens` at most, and how many it takes, both with
        what is added to every text. Raises NoRoom where not even that fits."""
        ...


class NoRoom(Exception):
    """Not even an empty text fits."""


class VocabularyTokenizer:
    """A tokenizer of the library `tokenizers`. A text is cut at a token and decoded again."""

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._added = tokenizer.num_special_tokens_to_add(is_pair=False)

    def count(self, text: str) -> int:
        return len(self._tokenizer.encode(text).ids)

    def truncate(self, text: str, max_tokens: int) -> tuple[str, int]:
        if max_tokens < self._added:
            raise NoRoom
        kept = self._tokenizer.encode(text, add_special_tokens=False).ids[
            : max_tokens - self._added
        ]
        return self._tokenizer.decode(kept), len(kept) + self._added


@dataclass(frozen=True, slots=True)
class _Template:
    """`entry` has places for the body, which is cut, and for what is given beside it; `frame` is
    what LaMP counts of it. `ending` stands before the question; `reserved` is counted for it."""

    entry: str
    frame: str
    ending: str = ". "
    reserved: str | None = None


_TITLE_FOR = '"{given}" is the title for "{body}" '
_TEMPLATES = {
    "LaMP_2": _Template(
        'the tag for the movie: "{body}" is "{given}" ',
        'the tag for the movie: " " is "{given}" ',
    ),
    "LaMP_3": _Template(
        '{given} is the score for "{body}" ',
        '{given} is the score for " " ',
    ),
    "LaMP_4": _Template(_TITLE_FOR, '"{given}" is the title for " " '),
    "LaMP_5": _Template(
        '"{given}" is a title for "{body}" ',
        '"{given}" is a title " " ',
        f". {_PATTERNS} ",
        _PATTERNS,
    ),
    "LaMP_6": _Template(_TITLE_FOR, '"{given}" is the title for " " '),
    "LaMP_7": _Template(
        '"{body}" ',
        '"" ',
        f" are written by a person. {_PATTERNS} ",
        f"are written by user. {_PATTERNS}",
    ),
}


def retrieval_prompt(
    task: Task,
    question: str,
    retrieved: Sequence[Interaction],
    tokenizer: Tokenizer,
    max_tokens: int,
) -> str:
    """`question` with what was `retrieved` for it, in LaMP's words.

    The entries get what the question leaves of `max_tokens`, at least 40 % of it, more where that
    does not hold their frames. The question itself where nothing was retrieved or fits.
    """
    if not retrieved:
        return question
    asked = tokenizer.count(question)
    write = _citation_prompt if task.name == "LaMP_1" else _prompt
    for tenths in range(6, -1, -1):
        room = max_tokens - min(asked, max_tokens * tenths // 10)
        try:
            return write(task, question, retrieved, tokenizer, room)
        except NoRoom:
            continue
    return question


def _prompt(
    task: Task,
    question: str,
    retrieved: Sequence[Interaction],
    tokenizer: Tokenizer,
    room: int,
) -> str:
    template = _TEMPLATES[task.name]
    reserved = 1 + (0 if template.reserved is None else tokenizer.count(template.reserved))
    given = [task.given_of(interaction) for interaction in retrieved]
    bodies = _truncated(
        [task.body_of(interaction) for interaction in retrieved],
        [tokenizer.count(template.frame.format(given=one)) for one in given],
        tokenizer,
        room - reserved,
    )
    entries = (
        template.entry.format(given=one, body=body) for one, body in zip(given, bodies, strict=True)
    )
    return f"{_JOIN.join(entries)}{template.ending}{question}"


def _citation_prompt(
    task: Task,
    question: str,
    retrieved: Sequence[Interaction],
    tokenizer: Tokenizer,
    room: int,
) -> str:
    """LaMP_1 names the user's papers beside the title in the question."""
    titles = [task.given_of(interaction) or "" for interaction in retrieved]
    cut = _truncated(titles, [_QUOTE_TOKENS] * len(titles), tokenizer, room)
    before, title, after = question.partition("title")
    if not title:
        return question
    quoted = [f'"{one}"' for one in cut]
    return _JOIN.join([f"{before}{title}", *quoted]) + after


def _truncated(
    bodies: Sequence[str], frames: Sequence[int], tokenizer: Tokenizer, room: int
) -> list[str]:
    """Bodies cut to equal shares of `room` with their frames; what one leaves, the next may use.

    `frames` are in tokens.
    """
    share = (room - _JOIN_TOKENS * (len(bodies) - 1)) // len(bodies)
    saved = 0
    cut = []
    for body, frame in zip(bodies, frames, strict=True):
        text, used = tokenizer.truncate(body, share + saved - frame)
        saved += share - used - frame
        cut.append(text)
    return cut
