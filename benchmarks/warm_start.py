"""What a tiny model imitates before it is rewarded: profiles of made-up users, as JSON."""

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson

from benchmarks.tiny_lm import Pair
from service.domain.interaction import Interaction
from service.domain.profile import Draft, Statement, StatementKind
from service.domain.prompts import profile_request
from service.generators.extractive.wording import listed

HISTORY_TOKENS = 260
HISTORY_LIMIT = 5
_TITLE_CHARS = 90
_EVIDENCE = 3


def titled(interaction: Interaction) -> Interaction:
    """The interaction with its first line only: what a small context can hold ten of."""
    return replace(interaction, text=interaction.text.splitlines()[0][:_TITLE_CHARS])


def pairs_of_words(posts: Sequence[str], count: int, seed: int) -> Iterator[Pair]:
    """As many made-up users, whose profiles name a rare word of most of their lines.

    They have nothing in common with real users but the form; they teach to look for what is rare,
    and to copy it.
    """
    chance = random.Random(seed)
    titles = [title for post in posts if _words(title := post.splitlines()[0][:_TITLE_CHARS])]
    common = Counter(word.casefold() for title in titles for word in set(_words(title)))
    for _ in range(count):
        history = _at_random_times(chance.choices(titles, k=HISTORY_LIMIT), chance)
        told = chance.sample(history, chance.randint(2, HISTORY_LIMIT))
        rare = [min(_words(one.text), key=lambda word: common[word.casefold()]) for one in told]
        statement = Statement(
            "",
            StatementKind.INTEREST,
            f"Mentions {listed(rare)}.",
            tuple(one.key for one in told),
        )
        request = profile_request(history, history_tokens=HISTORY_TOKENS)
        yield Pair(request[-1].content, answer(Draft((statement,), ""), history))


def _words(text: str) -> list[str]:
    return re.findall(r"[A-Za-z]{4,}", text)


def _at_random_times(texts: Sequence[str], chance: random.Random) -> list[Interaction]:
    moment = datetime(2010, 1, 1, tzinfo=UTC) + timedelta(minutes=chance.randrange(1_500_000))
    history = []
    for number, text in enumerate(texts):
        moment += timedelta(minutes=chance.randrange(1, 10_000))
        history.append(
            Interaction(event_id=str(number), occurred_at=moment, text=text, type="post")
        )
    return history


def answer(draft: Draft, history: Sequence[Interaction]) -> str:
    """The draft as an LLM would have to write it, with its newest evidence."""
    numbers = {interaction.key: number for number, interaction in enumerate(history, start=1)}
    statements = [
        {
            "kind": statement.kind.value,
            "text": statement.text,
            "interactions": [numbers[key] for key in statement.evidence[-_EVIDENCE:]],
        }
        for statement in draft.statements
    ]
    return orjson.dumps({"statements": statements}).decode()
