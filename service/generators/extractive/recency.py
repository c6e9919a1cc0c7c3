"""What came up only lately, and what has not come up any more."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import NamedTuple

from service.domain.interaction import Interaction
from service.generators.extractive.candidate import Candidate, Family, make_candidate
from service.generators.extractive.phrases import Phrase
from service.generators.extractive.preferences import Attribute
from service.generators.extractive.wording import activity, listed, spoken

MIN_INTERACTIONS = 20
_MIN_SPAN = timedelta(days=7)
_RECENT_SHARE, _MAX_RECENT = 0.2, 40
_GONE_SHARE = 0.3
_MIN_RECENT_USES, _MIN_FORMER_USES = 3, 6
_CLEARLY_MORE = 4.0
# Log-likelihood ratio of two different rates against one; many subjects are tried.
_CLEAR = 5.0
_FULL_RATIO = 20.0
_MAX_NAMED = 3


class Shifts(NamedTuple):
    """Statements about shifts, and the names of the subjects that they speak of."""

    candidates: tuple[Candidate, ...] = ()
    subjects: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Subject:
    """What a statement could be about; `group` names the attribute that it is a value of."""

    name: str
    texts: frozenset[int]
    ratio: float = 0.0
    group: Attribute | None = None


def shifts(
    history: Sequence[Interaction], phrases: Sequence[Phrase], attributes: Sequence[Attribute]
) -> Shifts:
    """What changed between the newest part of a history and what came before, where it is clear."""
    if len(history) < MIN_INTERACTIONS:
        return Shifts()
    if history[-1].occurred_at - history[0].occurred_at < _MIN_SPAN:
        return Shifts()
    subjects = [_Subject(phrase.surface, frozenset(phrase.texts.tolist())) for phrase in phrases]
    for attribute in attributes:
        subjects += [
            _Subject(value.name, frozenset(value.texts), group=attribute)
            for value in attribute.values
        ]
    recent = min(int(len(history) * _RECENT_SHARE), _MAX_RECENT)
    silent = int(len(history) * _GONE_SHARE)
    new = _strongest([_new(subject, len(history) - recent, recent) for subject in subjects])
    gone = _strongest([_gone(subject, len(history) - silent, silent) for subject in subjects])
    candidates = []
    if new:
        candidates.append(_new_candidate(history, new, recent))
    if gone:
        candidates.append(_gone_candidate(history, gone, silent))
    return Shifts(tuple(candidates), frozenset(subject.name for subject in (*new, *gone)))


def _new(subject: _Subject, start: int, recent: int) -> _Subject | None:
    """`subject` with its log-likelihood ratio, if it is clearly more frequent from `start` on."""
    late = sum(text >= start for text in subject.texts)
    early = len(subject.texts) - late
    if late < _MIN_RECENT_USES or late / recent < _CLEARLY_MORE * early / start:
        return None
    return _if_clear(subject, _log_ratio(late, recent, early, start))


def _gone(subject: _Subject, start: int, silent: int) -> _Subject | None:
    if len(subject.texts) < _MIN_FORMER_USES or max(subject.texts) >= start:
        return None
    return _if_clear(subject, _log_ratio(len(subject.texts), start, 0, silent))


def _if_clear(subject: _Subject, ratio: float) -> _Subject | None:
    return replace(subject, ratio=ratio) if ratio >= _CLEAR else None


def _strongest(found: Sequence[_Subject | None]) -> list[_Subject]:
    clear = [subject for subject in found if subject is not None]
    return sorted(clear, key=lambda subject: (-subject.ratio, subject.name))[:_MAX_NAMED]


def _new_candidate(
    history: Sequence[Interaction], named: Sequence[_Subject], recent: int
) -> Candidate:
    start = len(history) - recent
    texts = {text for subject in named for text in subject.texts}
    late = sorted(text for text in texts if text >= start)
    early = len(texts) - len(late)
    doing = activity([history[text].type for text in late])
    text = (
        f"Lately {doing.verb} {_named(named)}: {len(late)} of the "
        f"last {recent} {doing.nouns}, {early or 'none'} of the {start} before."
    )
    distinctiveness = named[0].ratio / _FULL_RATIO
    return make_candidate(
        Family.SHIFT, "new", text, history, late, distinctiveness=distinctiveness, rank=0
    )


def _gone_candidate(
    history: Sequence[Interaction], named: Sequence[_Subject], silent: int
) -> Candidate:
    texts = sorted({text for subject in named for text in subject.texts})
    doing = activity([history[text].type for text in texts])
    text = (
        f"Used to {doing.infinitive} {_named(named)} "
        f"({len(texts)} {doing.nouns}), but not in the last {silent}."
    )
    distinctiveness = named[0].ratio / _FULL_RATIO
    return make_candidate(
        Family.SHIFT, "gone", text, history, texts, distinctiveness=distinctiveness, rank=1
    )


def _named(subjects: Sequence[_Subject]) -> str:
    """The subjects as a list, the values of one attribute together."""
    groups: dict[str, list[_Subject]] = {}
    for subject in subjects:
        groups.setdefault(subject.group.name if subject.group else "", []).append(subject)
    return listed([_one_group(group) for group in groups.values()])


def _one_group(subjects: Sequence[_Subject]) -> str:
    attribute = subjects[0].group
    if attribute is None:
        return listed([subject.name for subject in subjects])
    return attribute.named([spoken(subject.name) for subject in subjects])


def _log_ratio(hits: int, size: int, other_hits: int, other_size: int) -> float:
    """Log-likelihood ratio of two binomial samples having rates of their own."""
    pooled = (hits + other_hits) / (size + other_size)
    separate = _log_likelihood(hits, size, hits / size) + _log_likelihood(
        other_hits, other_size, other_hits / other_size
    )
    together = _log_likelihood(hits, size, pooled) + _log_likelihood(other_hits, other_size, pooled)
    return separate - together


def _log_likelihood(hits: int, size: int, rate: float) -> float:
    log_hits = hits * math.log(rate) if hits else 0.0
    return log_hits + ((size - hits) * math.log1p(-rate) if hits < size else 0.0)
