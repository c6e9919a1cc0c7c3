"""Titles, headlines and subjects made of the very words of a text, without a language model."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt
from statistics import median

from service.evaluation.lamp.tasks import Sample, Task
from service.generators.reading.vocabulary import STOPWORDS

_WORD = re.compile(r"[^\W_][\w'\u2019/+-]*")
_BREAK = re.compile(r"(?<=[.!?])\s+(?=\S)")
# What follows it is what a paper is about.
_CUE = re.compile(
    r"\b(?:we|paper|work|article|study)\s+(?:\w+\s+){0,2}?"
    r"(?:present|propose|introduce|describe|develop|explore|investigate|study|examine|address)"
    r"(?:e?s)?\b",
    re.IGNORECASE,
)
_AFTER_CUE = 1.3
_IN_FIRST_SENTENCE = 1.1
_USED_BEFORE = 0.3
_USES_THAT_COUNT = 2
_SHORTEST_TITLE = 3
_USUAL_TITLE = 9

Rarity = Callable[[str], float]


@dataclass(frozen=True, slots=True)
class _Token:
    word: str
    start: int
    end: int


def extractions(task: Task, samples: Sequence[Sample]) -> dict[str, Callable[[Sample], str]]:
    """By name: the first sentence, the most central one, and a span as the user words titles.

    How rare a word is comes from the texts of all histories.
    """
    rarity = _rarity(task, samples)
    return {
        "first-sentence": lambda sample: _sentences(_text(task, sample))[0],
        "central-sentence": lambda sample: _central(_text(task, sample), rarity),
        "title-span": lambda sample: _span(task, sample, rarity),
    }


def _central(text: str, rarity: Rarity) -> str:
    """The sentence whose words are most those of the whole text: the largest cosine."""
    weights = _weights(text, rarity)

    def likeness(sentence: str) -> float:
        words = {token.word for token in _tokens(sentence)}
        length = sqrt(sum(rarity(word) ** 2 for word in words)) or 1.0
        return sum(rarity(word) * weights.get(word, 0.0) for word in words) / length

    return max(_sentences(text), key=likeness)


def _span(task: Task, sample: Sample, rarity: Rarity) -> str:
    """The span, as long as the user's titles are, that says most of the text.

    Words of the user's titles count more, and so does what "we present" announces.
    """
    text = _text(task, sample)
    titles = [_tokens(task.given_of(interaction) or "") for interaction in sample.history]
    used = Counter(word for title in titles for word in {token.word for token in title})
    length = max(_SHORTEST_TITLE, round(median(map(len, titles))) if titles else _USUAL_TITLE)
    weights = {
        word: weight * (1 + _USED_BEFORE * min(_USES_THAT_COUNT, used[word]))
        for word, weight in _weights(text, rarity).items()
    }
    best, most = text, -1.0
    for place, sentence in enumerate(_sentences(text)):
        cue = _CUE.search(sentence)
        for span in _spans(_tokens(sentence), length):
            told = sum(weights.get(word, 0.0) for word in {token.word for token in span})
            told *= _AFTER_CUE if cue and span[0].start >= cue.end() else 1.0
            told *= _IN_FIRST_SENTENCE if place == 0 else 1.0
            if told > most:
                best, most = sentence[span[0].start : span[-1].end], told
    return best


def _spans(tokens: Sequence[_Token], length: int) -> Iterator[Sequence[_Token]]:
    """Of at most `length` words, with neither end a stopword."""
    for start, first in enumerate(tokens):
        if first.word in STOPWORDS:
            continue
        end = min(len(tokens), start + length)
        while tokens[end - 1].word in STOPWORDS:
            end -= 1
        yield tokens[start:end]


def _weights(text: str, rarity: Rarity) -> dict[str, float]:
    counts = Counter(token.word for token in _tokens(text) if token.word not in STOPWORDS)
    return {word: (1 + log(count)) * rarity(word) for word, count in counts.items()}


def _rarity(task: Task, samples: Sequence[Sample]) -> Rarity:
    bodies = [task.body_of(interaction) for sample in samples for interaction in sample.history]
    counts = Counter(word for body in bodies for word in {token.word for token in _tokens(body)})
    return lambda word: _inverse(counts, word, len(bodies))


def _inverse(counts: Mapping[str, int], word: str, texts: int) -> float:
    return log((2 + texts) / (1 + counts.get(word, 0)))


def _text(task: Task, sample: Sample) -> str:
    return task.query(sample.input) or ""


def _sentences(text: str) -> list[str]:
    return _BREAK.split(text)


def _tokens(text: str) -> list[_Token]:
    return [_Token(m[0].casefold(), m.start(), m.end()) for m in _WORD.finditer(text)]
