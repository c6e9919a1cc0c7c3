"""Profiles that take no learning. A generator that does not beat all of them is not worth running.

Each keeps the budget of 160 estimated tokens and writes statements one a line.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import log

from service.bump.batch import Example
from service.bump.reward import TARGET_TOKENS
from service.domain.interaction import Interaction
from service.domain.profile import render_text
from service.domain.tokens import estimate_tokens
from service.evaluation.preparation import Batch
from service.generators.extractive import write_draft
from service.generators.reading.vocabulary import STOPWORDS

BASELINES = ("empty", "stranger", "random-items", "last-items", "keywords", "snippets-keywords")

Write = Callable[[Example], str]

_SNIPPET_TOKENS = 26
_SNIPPETS_WITH_KEYWORDS = 5
# So that five snippets leave a third of the budget to the keyphrases.
_SHORT_SNIPPET_TOKENS = 20
_LINE_BREAK_TOKENS = 1
_TERMS_A_LINE = 8
_WORD = re.compile(r"[^\W\d_][\w'\u2019-]*[^\W_]")


def baselines(batch: Batch, *, seed: int) -> dict[str, Write]:
    """By name, what writes each baseline's profile of an example of `batch`.

    The same batch and seed give the same texts. Raises ValueError for a batch of one user, who
    has no stranger.
    """
    terms = Terms(batch.examples)
    by_user = {example.user_id: example for example in batch.examples}
    stranger_of = derangement(sorted(by_user), seed=seed)

    def stranger(example: Example) -> str:
        other = by_user[stranger_of[example.user_id]]
        return render_text(write_draft(other.visible, batch.population, TARGET_TOKENS).statements)

    def random_items(example: Example) -> str:
        chance = random.Random(f"{seed}:{example.user_id}")
        return _render(_snippets(chance.sample(example.visible, len(example.visible))))

    return {
        "empty": lambda example: "",
        "stranger": stranger,
        "random-items": random_items,
        "last-items": lambda example: _render(_snippets(example.visible[::-1])),
        "keywords": lambda example: _render(_term_lines(terms.words(example), TARGET_TOKENS)),
        "snippets-keywords": lambda example: _render(_snippets_and_phrases(example, terms)),
    }


def derangement(names: Sequence[str], *, seed: int) -> dict[str, str]:
    """Somebody else for everybody, each once. Raises ValueError for fewer than two names."""
    if len(names) < 2:
        raise ValueError("One user alone has no stranger.")
    shuffled = random.Random(seed).sample(names, len(names))
    return dict(zip(shuffled, [*shuffled[1:], shuffled[0]], strict=True))


class Terms:
    """Words and pairs of words by TF-IDF: in how many of a user's interactions, against how many
    users have them. Of visible interactions only."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self._counts = {example.user_id: _term_counts(example.visible) for example in examples}
        self._users_with = Counter(term for counts in self._counts.values() for term in counts)

    def words(self, example: Example) -> list[str]:
        """Single words, the strongest first."""
        return [term for term in self._ranked(example) if " " not in term]

    def phrases(self, example: Example) -> Iterator[str]:
        """Words and pairs, the strongest first; no word comes twice."""
        said: set[str] = set()
        for term in self._ranked(example):
            words = term.split(" ")
            if said.isdisjoint(words):
                said.update(words)
                yield term

    def _ranked(self, example: Example) -> list[str]:
        users = len(self._counts)
        weights = {
            term: count * log((1 + users) / (1 + self._users_with[term]))
            for term, count in self._counts[example.user_id].items()
        }
        return sorted(weights, key=lambda term: (-weights[term], term))


def _term_counts(interactions: Iterable[Interaction]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for interaction in interactions:
        counts.update(set(_terms(interaction.text)))
    return counts


def _terms(text: str) -> Iterator[str]:
    before = None
    for word in _WORD.findall(text.casefold()):
        if word in STOPWORDS:
            before = None
            continue
        yield word
        if before:
            yield f"{before} {word}"
        before = word


def _snippets_and_phrases(example: Example, terms: Terms) -> Iterator[str]:
    newest = example.visible[: -_SNIPPETS_WITH_KEYWORDS - 1 : -1]
    snippets = [_snippet(i.text, _SHORT_SNIPPET_TOKENS) for i in newest]
    yield from snippets
    used = sum(estimate_tokens(snippet) + _LINE_BREAK_TOKENS for snippet in snippets)
    yield from _term_lines(terms.phrases(example), TARGET_TOKENS - used)


def _snippets(interactions: Iterable[Interaction]) -> Iterator[str]:
    """Beginnings of the interactions, in their order, as many as the budget holds."""
    left = TARGET_TOKENS
    for interaction in interactions:
        snippet = _snippet(interaction.text, _SNIPPET_TOKENS)
        left -= estimate_tokens(snippet) + _LINE_BREAK_TOKENS
        if left < -_LINE_BREAK_TOKENS:
            return
        yield snippet


def _snippet(text: str, max_tokens: int) -> str:
    """The first whole words of `text` that take at most `max_tokens`."""
    words = []
    for word in text.split():
        max_tokens -= estimate_tokens(word)
        if max_tokens < 0:
            break
        words.append(word)
    return " ".join(words)


def _term_lines(terms: Iterable[str], max_tokens: int) -> Iterator[str]:
    """As many terms as fit, several a line, with commas between them."""
    line: list[str] = []
    for term in terms:
        # Its comma or line break costs one token.
        max_tokens -= estimate_tokens(term) + _LINE_BREAK_TOKENS
        if max_tokens < -_LINE_BREAK_TOKENS:
            break
        line.append(term)
        if len(line) == _TERMS_A_LINE:
            yield ", ".join(line)
            line = []
    if line:
        yield ", ".join(line)


def _render(statements: Iterable[str]) -> str:
    return "\n".join(filter(None, statements))
