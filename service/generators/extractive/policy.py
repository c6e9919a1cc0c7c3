"""Which candidates make the profile: one after the other, each by what those before it leave.

The same numbers serve (the best candidate is taken) and are trained (one is drawn by its score,
`service/trainer/extractive.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.domain.interaction import Interaction
from service.generators.extractive.candidate import Candidate, Family
from service.generators.extractive.reach import Reach
from service.generators.reading.attributes import rating

Floats = NDArray[np.float32]

_FAMILIES = tuple(Family)
_OF_CANDIDATE = (
    *(f"is {family}" for family in _FAMILIES),
    *("coverage", "distinctiveness", "support", "freshness", "rank", "rarity", "tokens"),
    *(f"rank of {family}" for family in _FAMILIES),
)
_OF_STATE = (
    *("gain", "gain lately", "gain a token", "gain lately a token", "overlap"),
    *(f"another {family}" for family in _FAMILIES),
    *(f"gain lately of {family}" for family in _FAMILIES),
)
FEATURES = (*_OF_CANDIDATE, *_OF_STATE)
CONTEXTS = ("any", "long texts", "rated", "steady")
SHAPE = (len(CONTEXTS), len(FEATURES))

_TOKENS_PER_LINE_BREAK = 1
_LONG_STATEMENT = 40
_MANY = 4
_LATELY_SHARE, _LATELY_MIN = 0.15, 3.0
_LONG_TEXT_CHARS = 600


@dataclass(frozen=True, slots=True)
class Pool:
    """What could be said of one user, and what choosing among it goes by.

    C candidates, n interactions, F features, H contexts. `fixed` (C, F') are the features that the
    choice does not change; `gains` (2, C, n): what each would add, by interaction, to a profile
    that says nothing, over the whole history and lately; `excludes` (C, C): which candidates
    speak of the same; `context` (H,).
    """

    candidates: tuple[Candidate, ...]
    fixed: Floats
    gains: Floats
    likeness: Floats
    excludes: NDArray[np.bool_]
    families: NDArray[np.int64]
    tokens: NDArray[np.int64]
    context: Floats


@dataclass(slots=True)
class State:
    """G profiles in the making.

    `taken` or excluded (G, C), `covered` (G, 2, n), `overlap` with what was taken (G, C), how many
    of each family were `used` (G, families), and tokens `left` (G,).
    """

    taken: NDArray[np.bool_]
    covered: Floats
    overlap: Floats
    used: Floats
    left: NDArray[np.int64]

    @classmethod
    def empty(cls, pool: Pool, profiles: int, max_tokens: int) -> "State":
        size = len(pool.candidates)
        return cls(
            taken=np.zeros((profiles, size), np.bool_),
            covered=np.zeros((profiles, 2, pool.gains.shape[2]), np.float32),
            overlap=np.zeros((profiles, size), np.float32),
            used=np.zeros((profiles, len(_FAMILIES)), np.float32),
            # The first line has no line break before it.
            left=np.full(profiles, max_tokens + _TOKENS_PER_LINE_BREAK),
        )

    def allowed(self, pool: Pool) -> NDArray[np.bool_]:
        """(G, C): not taken yet, and short enough."""
        return ~self.taken & (pool.tokens + _TOKENS_PER_LINE_BREAK <= self.left[:, None])

    def take(self, pool: Pool, profiles: NDArray[np.int64], chosen: NDArray[np.int64]) -> None:
        """Add candidate `chosen[i]` to profile `profiles[i]`."""
        self.taken[profiles] |= pool.excludes[chosen]
        self.covered[profiles] = np.maximum(
            self.covered[profiles], pool.gains[:, chosen].transpose(1, 0, 2)
        )
        self.overlap[profiles] = np.maximum(self.overlap[profiles], pool.likeness[chosen])
        self.used[profiles, pool.families[chosen]] += 1
        self.left[profiles] -= pool.tokens[chosen] + _TOKENS_PER_LINE_BREAK


def pool_of(candidates: Sequence[Candidate], reach: Reach, history: Sequence[Interaction]) -> Pool:
    families = np.array([_FAMILIES.index(c.family) for c in candidates], np.int64)
    tokens = np.array([c.tokens for c in candidates], np.int64)
    return Pool(
        candidates=tuple(candidates),
        fixed=_fixed(candidates, reach, families, tokens),
        gains=_gains(_of_others(candidates, reach, history)),
        likeness=reach.statements,
        excludes=_exclusions(candidates),
        families=families,
        tokens=tokens,
        context=_context(candidates, history),
    )


def features(pool: Pool, state: State) -> Floats:
    """(G, C, F): every number that a choice goes by, each from 0 to about 1."""
    profiles, size = state.taken.shape
    found = np.empty((profiles, size, len(FEATURES)), np.float32)
    found[:, :, : len(_OF_CANDIDATE)] = pool.fixed
    dynamic = found[:, :, len(_OF_CANDIDATE) :]
    gains = np.maximum(pool.gains - state.covered[:, :, None, :], 0).sum(axis=3)
    dynamic[:, :, :2] = gains.transpose(0, 2, 1)
    dynamic[:, :, 2:4] = dynamic[:, :, :2] * (_LONG_STATEMENT / 4 / pool.tokens)[:, None]
    dynamic[:, :, 4] = state.overlap
    dynamic[:, :, 5:] = 0
    rows = np.arange(size)
    dynamic[:, rows, 5 + pool.families] = state.used[:, pool.families] / _MANY
    dynamic[:, rows, 5 + len(_FAMILIES) + pool.families] = dynamic[:, :, 1]
    return found


def choose(pool: Pool, weights: Floats, max_tokens: int) -> list[int]:
    """The candidates (C,) of the best profile by `weights` (H, F), in the order they are taken."""
    state = State.empty(pool, 1, max_tokens)
    effective = pool.context @ weights
    chosen: list[int] = []
    while state.allowed(pool).any():
        scores = (features(pool, state) @ effective)[0]
        best = int(np.where(state.allowed(pool)[0], scores, -np.inf).argmax())
        state.take(pool, np.array([0]), np.array([best]))
        chosen.append(best)
    return chosen


def _fixed(
    candidates: Sequence[Candidate],
    reach: Reach,
    families: NDArray[np.int64],
    tokens: NDArray[np.int64],
) -> Floats:
    fixed = np.zeros((len(candidates), len(_OF_CANDIDATE)), np.float32)
    fixed[np.arange(len(candidates)), families] = 1
    rest = fixed[:, len(_FAMILIES) :]
    for row, candidate in enumerate(candidates):
        f = candidate.features
        rest[row, :5] = (f.coverage, f.distinctiveness, f.support, f.freshness, f.rank)
    rest[:, 5] = reach.rarity
    rest[:, 6] = tokens / _LONG_STATEMENT
    rest[np.arange(len(candidates)), 7 + families] = rest[:, 4]
    return fixed


def _exclusions(candidates: Sequence[Candidate]) -> NDArray[np.bool_]:
    numbers: dict[str, int] = {}
    for candidate in candidates:
        for claim in candidate.claims:
            numbers.setdefault(claim, len(numbers))
    claimed = np.zeros((len(candidates), len(numbers)), np.float32)
    for row, candidate in enumerate(candidates):
        claimed[row, [numbers[claim] for claim in candidate.claims]] = 1
    return claimed @ claimed.T > 0


def _of_others(
    candidates: Sequence[Candidate], reach: Reach, history: Sequence[Interaction]
) -> Floats:
    """The reach (C, n) without what a quote has of the interaction that it was taken from."""
    positions = {interaction.key: position for position, interaction in enumerate(history)}
    found = reach.interactions.copy()
    for row, candidate in enumerate(candidates):
        if candidate.family is Family.QUOTE:
            found[row, positions[candidate.statement.evidence[0]]] = 0
    return found


def _gains(interactions: Floats) -> Floats:
    """(2, C, n), scaled so that the best single statement adds up to 1."""
    size = interactions.shape[1]
    age = np.arange(size, dtype=np.float32)[::-1]
    lately = np.exp(-age / (size * _LATELY_SHARE + _LATELY_MIN))
    gains = np.stack([interactions, interactions * lately]).astype(np.float32)
    best = gains.sum(axis=2, keepdims=True).max(axis=1, keepdims=True)
    scaled: Floats = gains / np.maximum(best, 1e-9)
    return scaled


def _context(candidates: Sequence[Candidate], history: Sequence[Interaction]) -> Floats:
    chars = sum(min(len(i.text), _LONG_TEXT_CHARS) for i in history) / len(history)
    rated = sum(rating(i.attributes) is not None for i in history) / len(history)
    steady = max(
        (c.features.coverage for c in candidates if c.family is Family.MENTION), default=0.0
    )
    return np.array([1.0, chars / _LONG_TEXT_CHARS, rated, steady], np.float32)
