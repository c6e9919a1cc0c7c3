"""What is told of a profile besides its reward, and how answers are scored against golds.

The latter are the metrics of LaMP's evaluator (LaMP-Benchmark/LaMP, `eval/evaluation.py`), which
computes them by Hugging Face's `evaluate`: scikit-learn and rouge-score with their defaults.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from math import isfinite, sqrt
from statistics import fmean

# An answer and its gold, without the space around them.
Pair = tuple[str, str]

_LOWEST, _HIGHEST = 1.0, 5.0
_NAMED_AT_ONCE = 5
_WORD = re.compile(r"\w+")
_GRAM = 4
_ROUGE_WORD = re.compile(r"[a-z0-9]+")


class IdsDiffer(ValueError):
    """Answers and golds are not of the same samples."""

    def __init__(self, missing: Sequence[str], surplus: Sequence[str]) -> None:
        super().__init__(
            f"{len(missing)} samples have no answer{_examples(missing)}, and {len(surplus)} "
            f"answers have no gold{_examples(surplus)}: answer exactly the samples of the golds."
        )
        self.missing, self.surplus = tuple(missing), tuple(surplus)


def copy_rate(profile: str, visible: Iterable[str]) -> float:
    """The share of the profile's four-word sequences that stand verbatim in the visible texts.

    0 for a profile of fewer than four words: it quotes nothing.
    """
    grams = [" ".join(words) for words in _grams(_words(profile))]
    if not grams:
        return 0.0
    seen = "\n".join(map(_spaced, visible))
    return sum(f" {gram} " in seen for gram in grams) / len(grams)


def _grams(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return zip(*(words[start:] for start in range(_GRAM)), strict=False)


# Every generator's profile is looked up in the same texts.
@lru_cache(maxsize=100_000)
def _spaced(text: str) -> str:
    return f" {' '.join(_words(text))} "


def _words(text: str) -> Sequence[str]:
    return _WORD.findall(text.casefold())


def paired(answers: Mapping[str, str], golds: Mapping[str, str]) -> list[Pair]:
    """Answers with their golds, both stripped, in the order of the golds (both by sample id).

    Raises IdsDiffer unless every gold has an answer and every answer a gold.
    """
    missing, surplus = golds.keys() - answers.keys(), answers.keys() - golds.keys()
    if missing or surplus:
        raise IdsDiffer(sorted(missing), sorted(surplus))
    return [(answers[sample_id].strip(), gold.strip()) for sample_id, gold in golds.items()]


def accuracy(pairs: Sequence[Pair], labels: Sequence[str]) -> float:
    """The share of exact matches, 0 to 1.

    Raises ValueError without pairs, or for a gold that is no label.
    """
    places = _places(pairs, labels)
    return fmean(answer == gold for answer, gold in places)


def macro_f1(pairs: Sequence[Pair], labels: Sequence[str]) -> float:
    """The mean of the F1 of all `labels`, 0 of one that neither is a gold nor was answered.

    An answer that is no label takes from the recall of its gold alone. Raises ValueError without
    pairs, or for a gold that is no label.
    """
    places = _places(pairs, labels)
    right = Counter(gold for answer, gold in places if answer == gold)
    named = Counter(place for pair in places for place in pair)
    return fmean(2 * right[place] / (named[place] or 1) for place in range(len(labels)))


def absolute_errors(pairs: Sequence[Pair]) -> list[float]:
    """By how much each answer misses its gold, read as numbers.

    An answer that is no finite number counts as 1 or 5, whichever is farther from the gold, and as
    5 at 3. Raises ValueError for a gold that is no number.
    """
    return [abs(_rating(answer, float(gold)) - float(gold)) for answer, gold in pairs]


def mae(pairs: Sequence[Pair]) -> float:
    """The mean absolute error. Raises ValueError as `absolute_errors`, and without pairs."""
    return fmean(absolute_errors(pairs))


def rmse(pairs: Sequence[Pair]) -> float:
    """The root of the mean squared error. Raises ValueError as `absolute_errors`, and without
    pairs."""
    return sqrt(fmean(error * error for error in absolute_errors(pairs)))


def rouge_1(pairs: Sequence[Pair]) -> list[float]:
    """ROUGE-1 of each answer: the F-measure of the words in common, 0 to 1, without a stemmer.

    Their mean is the score. `evaluate` gives the median of the means of 1,000 resamplings, without
    a seed: this one but for their noise.
    """
    return [_f_measure(a, b, _in_common(a, b)) for a, b in _tokenized(pairs)]


def rouge_l(pairs: Sequence[Pair]) -> list[float]:
    """ROUGE-L of each answer: the F-measure of the longest common subsequence of words, 0 to 1.

    To be read as `rouge_1`.
    """
    return [_f_measure(a, b, _longest_common_subsequence(a, b)) for a, b in _tokenized(pairs)]


def _places(pairs: Sequence[Pair], labels: Sequence[str]) -> list[tuple[int, int]]:
    """Places in `labels`, -1 of an answer that is none."""
    places = {label: place for place, label in enumerate(labels)}
    unknown = {gold for _, gold in pairs} - places.keys()
    if unknown:
        raise ValueError(f"A gold is none of the task's labels{_examples(sorted(unknown))}.")
    return [(places.get(answer, -1), places[gold]) for answer, gold in pairs]


def _rating(answer: str, gold: float) -> float:
    try:
        rating = float(answer)
    except ValueError:
        rating = float("nan")
    # LaMP's evaluator breaks off at "nan" and "inf", which float() reads.
    if isfinite(rating):
        return rating
    return _LOWEST if abs(_LOWEST - gold) > abs(_HIGHEST - gold) else _HIGHEST


def _tokenized(pairs: Sequence[Pair]) -> Iterator[tuple[list[str], list[str]]]:
    for answer, gold in pairs:
        yield _ROUGE_WORD.findall(answer.lower()), _ROUGE_WORD.findall(gold.lower())


def _f_measure(answer: Sequence[str], gold: Sequence[str], common: int) -> float:
    return 2 * common / (len(answer) + len(gold)) if common else 0.0


def _in_common(answer: Sequence[str], gold: Sequence[str]) -> int:
    return (Counter(answer) & Counter(gold)).total()


def _longest_common_subsequence(answer: Sequence[str], gold: Sequence[str]) -> int:
    lengths = [0] * (len(gold) + 1)
    for word in answer:
        diagonal = 0
        for place, other in enumerate(gold, start=1):
            above = lengths[place]
            lengths[place] = diagonal + 1 if word == other else max(above, lengths[place - 1])
            diagonal = above
    return lengths[-1]


def _examples(names: Sequence[str]) -> str:
    if not names:
        return ""
    return f" ({', '.join(names[:_NAMED_AT_ONCE])}{', …' * (len(names) > _NAMED_AT_ONCE)})"
