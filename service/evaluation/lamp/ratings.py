"""Ratings predicted from a history, or from a profile of it, without a language model.

A softmax regression over what the user has rated so far answers with the median of the ratings it
expects, which has the smallest expected error. It learns from earlier ratings in the histories of
*other* users, never from golds: users are dealt into folds, and each is answered by what the rest
has taught.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt
from statistics import fmean, median

import numpy as np
from numpy.typing import NDArray

from service.domain.interaction import Interaction
from service.evaluation.lamp.profiles import Profiles
from service.evaluation.lamp.tasks import Sample, Task

Floats = NDArray[np.float64]
Words = frozenset[str]

MIN_USERS = 20
_FOLDS = 5
_RATINGS = np.arange(1.0, 6.0)
# Of every user: the latest ratings, of items not rated before, as those in question are.
_LESSONS = 12
_MIN_READ = 8
# Interactions after which the weight of a rating is halved.
_HALF_LIVES = (4.0, 12.0, float("inf"))
_LATEST = 4
_STEPS = 200
_RIDGE = 1e-3
_LEAST_SPREAD = 1e-6
_FARTHEST = 4.0
# By how much an answer other than the user's median must be expected to be better: on ratings
# within histories, smaller gains turned out to be mostly noise.
_MARGIN = 0.1
# As if that much likeness to an average item had been seen.
_PRIOR_LIKENESS = 0.2
_WORD = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Rated:
    """What was read of a user (N items, the oldest first), and the item that is asked about."""

    items: Sequence[Words]
    ratings: Floats
    asked: Words


@dataclass(frozen=True, slots=True)
class Lesson:
    """A rating that the user gave after what was read."""

    rated: Rated
    rating: float


def from_history(task: Task, samples: Sequence[Sample]) -> dict[str, str]:
    """Answers by sample id. Raises ValueError for fewer than `MIN_USERS` samples."""
    return _answers(
        [_read(task, sample.history, task.query(sample.input)) for sample in samples],
        [list(_lessons(task, sample.history)) for sample in samples],
        samples,
    )


def from_profiles(
    task: Task, samples: Sequence[Sample], profiles: Profiles, earlier: Profiles
) -> dict[str, str]:
    """The same from the entries that the statements of a profile cite, and nothing else.

    `earlier` are profiles of the histories without their last entry, from which that one is
    predicted to learn how. Raises ValueError for fewer than `MIN_USERS` samples.
    """
    read, lessons = [], []
    for sample in samples:
        read.append(_read(task, _cited(sample, profiles), task.query(sample.input)))
        lessons.append(list(_last_lesson(task, sample, earlier)))
    return _answers(read, lessons, samples)


def errors_within_histories(
    task: Task, samples: Sequence[Sample]
) -> dict[str, tuple[float, float]]:
    """By sample id, the mean absolute errors of `from_history` and of the median so far, over the
    latest ratings of the history itself: many more than there are golds.

    Raises ValueError for fewer than `MIN_USERS` samples.
    """
    lessons = [list(_lessons(task, sample.history)) for sample in samples]
    rarity = _rarity([_read(task, sample.history, None) for sample in samples])
    found = {}
    for fold, model in enumerate(_models(lessons, rarity)):
        for user in range(fold, len(samples), _FOLDS):
            if lessons[user]:
                found[samples[user].sample_id] = (
                    fmean(abs(model.answer(one.rated) - one.rating) for one in lessons[user]),
                    fmean(abs(_middle(one.rated) - one.rating) for one in lessons[user]),
                )
    return found


def without_last(sample: Sample) -> Sample:
    return Sample(sample.sample_id, sample.input, sample.history[:-1])


def _answers(
    read: Sequence[Rated], lessons: Sequence[Sequence[Lesson]], samples: Sequence[Sample]
) -> dict[str, str]:
    return {
        samples[user].sample_id: f"{model.answer(read[user]):g}"
        for fold, model in enumerate(_models(lessons, _rarity(read)))
        for user in range(fold, len(samples), _FOLDS)
    }


def _models(lessons: Sequence[Sequence[Lesson]], rarity: Mapping[str, float]) -> Iterator["_Model"]:
    """For each fold, what the users of the others have taught."""
    if len(lessons) < MIN_USERS:
        raise ValueError(f"{len(lessons)} users are too few to learn from: {MIN_USERS} are needed.")
    for fold in range(_FOLDS):
        others = (own for user, own in enumerate(lessons) if user % _FOLDS != fold)
        yield _Model.learn([lesson for own in others for lesson in own], rarity)


class _Model:
    """Weights (features, 5) over standardised features; `usual` answers where nothing was read."""

    def __init__(
        self,
        weights: Floats,
        mean: Floats,
        spread: Floats,
        usual: float,
        rarity: Mapping[str, float],
    ) -> None:
        self._weights, self._mean, self._spread = weights, mean, spread
        self._usual = usual
        self._rarity = rarity

    @classmethod
    def learn(cls, lessons: Sequence[Lesson], rarity: Mapping[str, float]) -> "_Model":
        known = [lesson for lesson in lessons if len(lesson.rated.ratings)]
        features = np.array([_features(lesson.rated, rarity) for lesson in known])
        golds = np.array([lesson.rating for lesson in known])
        mean, spread = features.mean(axis=0), features.std(axis=0)
        # What never varied has taught nothing, and must not weigh where it does.
        spread = np.where(spread < _LEAST_SPREAD, 1.0, spread)
        weights = _regress(_design(features, mean, spread), np.clip(golds, 1, 5).astype(int) - 1)
        return cls(weights, mean, spread, median(golds), rarity)

    def answer(self, rated: Rated) -> float:
        if not len(rated.ratings):
            return self._usual
        features = _features(rated, self._rarity)[None]
        expected = _softmax(_design(features, self._mean, self._spread) @ self._weights)[0]
        errors = np.abs(_RATINGS[:, None] - _RATINGS) @ expected
        best, safe = int(errors.argmin()), _middle(rated)
        gain = float(np.abs(safe - _RATINGS) @ expected - errors[best])
        return float(_RATINGS[best]) if gain > _MARGIN else safe


def _design(features: Floats, mean: Floats, spread: Floats) -> Floats:
    """Standardised, and not further out than what can have taught anything."""
    usual = np.clip((features - mean) / spread, -_FARTHEST, _FARTHEST)
    return np.column_stack([usual, np.ones(len(features))])


def _regress(design: Floats, classes: NDArray[np.int64]) -> Floats:
    """Softmax regression by Nesterov's accelerated gradients: weights (features, 5)."""
    rows, columns = design.shape
    golds = np.eye(len(_RATINGS))[classes]
    pace = 1 / (0.5 * np.linalg.eigvalsh(design.T @ design / rows)[-1] + _RIDGE)
    weights = ahead = np.zeros((columns, len(_RATINGS)))
    momentum = 1.0
    for _ in range(_STEPS):
        gradient = design.T @ (_softmax(design @ ahead) - golds) / rows + _RIDGE * ahead
        following = ahead - pace * gradient
        faster = (1 + sqrt(1 + 4 * momentum**2)) / 2
        ahead = following + (momentum - 1) / faster * (following - weights)
        weights, momentum = following, faster
    return weights


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=1, keepdims=True)
    return shares


def _features(rated: Rated, rarity: Mapping[str, float]) -> Floats:
    """How the ratings are distributed, lately more than before, and those of similar items."""
    ratings = rated.ratings
    ages = np.arange(len(ratings))[::-1]
    shares = np.concatenate([_shares(ratings, 0.5 ** (ages / half)) for half in _HALF_LIVES])
    mean = ratings.mean()
    latest = np.pad(ratings[-_LATEST:], (max(0, _LATEST - len(ratings)), 0), mode="edge")
    likeness = np.array([_likeness(rated.asked, item, rarity) for item in rated.items])
    apart = ratings - mean
    most = int(likeness.argmax())
    similar = [
        likeness @ apart / (likeness.sum() + _PRIOR_LIKENESS),
        likeness**2 @ apart / ((likeness**2).sum() + _PRIOR_LIKENESS / 2),
        likeness[most],
        apart[most] * (likeness[most] > _PRIOR_LIKENESS),
    ]
    return np.concatenate(
        [shares, shares**2, [mean, ratings.std()], latest, [latest.min()], similar]
    )


def _shares(ratings: Floats, weights: Floats) -> Floats:
    """The weighted shares of ratings of at most 1, 2, 3 and 4."""
    at_most = ratings[:, None] <= _RATINGS[None, :-1]
    shares: Floats = weights @ at_most / weights.sum()
    return shares


def _likeness(one: Words, other: Words, rarity: Mapping[str, float]) -> float:
    """The cosine of two texts as sets of words that weigh the more the rarer they are."""
    shared = sum(rarity.get(word, 0.0) ** 2 for word in one & other)
    if not shared:
        return 0.0
    lengths = (sum(rarity.get(word, 0.0) ** 2 for word in words) for words in (one, other))
    return shared / sqrt(next(lengths) * next(lengths))


def _rarity(read: Sequence[Rated]) -> dict[str, float]:
    counts = Counter(word for rated in read for item in rated.items for word in item)
    texts = sum(len(rated.items) for rated in read)
    return {word: log((1 + texts) / (1 + count)) for word, count in counts.items()}


def _lessons(task: Task, history: Sequence[Interaction]) -> Iterator[Lesson]:
    """The user's latest ratings of new items, each with what came before it."""
    bodies = [task.body_of(interaction) for interaction in history]
    new = [n for n, body in enumerate(bodies) if n >= _MIN_READ and body not in bodies[:n]]
    for place in new[-_LESSONS:]:
        yield Lesson(_read(task, history[:place], bodies[place]), _rating(history[place]))


def _last_lesson(task: Task, sample: Sample, earlier: Profiles) -> Iterator[Lesson]:
    if sample.history:
        last = sample.history[-1]
        cited = _cited(without_last(sample), earlier)
        yield Lesson(_read(task, cited, task.body_of(last)), _rating(last))


def _read(task: Task, history: Sequence[Interaction], asked: str | None) -> Rated:
    return Rated(
        [_words(task.body_of(interaction)) for interaction in history],
        np.array([_rating(interaction) for interaction in history]),
        _words(asked or ""),
    )


def _cited(sample: Sample, profiles: Profiles) -> list[Interaction]:
    profile = profiles.get(sample.sample_id)
    cited = {event_id for ids in profile.evidence for event_id in ids} if profile else set()
    return [interaction for interaction in sample.history if interaction.event_id in cited]


def _middle(rated: Rated) -> float:
    return float(median(rated.ratings.tolist()))


def _rating(interaction: Interaction) -> float:
    return float(interaction.attributes["rating"])


def _words(text: str) -> Words:
    return frozenset(_WORD.findall(text.casefold()))
