"""What a profile is made of: candidates, one after the other, each by what is still unsaid."""

from hashlib import sha256
from pathlib import Path

import numpy as np
import orjson
import pytest

from service.domain.interaction import Interaction
from service.domain.profile import render_text
from service.domain.tokens import estimate_tokens
from service.errors import ConfigurationError
from service.generators.extractive import find_candidates
from service.generators.extractive.artifact import WEIGHTS_FILE, read_policy, write_policy
from service.generators.extractive.candidate import Candidate, Family, make_candidate
from service.generators.extractive.policy import (
    FEATURES,
    SHAPE,
    Floats,
    Pool,
    State,
    choose,
    features,
    pool_of,
)
from service.generators.extractive.reach import reach_of
from service.generators.extractive.weights import UNTRAINED, weights_of
from service.generators.population import Population
from service.generators.reading.corpus import read_texts
from tests.unit.generators.histories import BAKER, CYCLIST, OFFICE, history, population_of

POPULATION = population_of(BAKER, CYCLIST, *OFFICE)
GARDEN = history(["tulips and roses", "tulips, roses", "violins", "violins again", "my tulips"])


def pool_for(interactions: list[Interaction]) -> Pool:
    pool = find_candidates(interactions, POPULATION)
    assert pool
    return pool


def candidate(text: str, *claims: str, family: Family = Family.MENTION, at: int = 0) -> Candidate:
    return make_candidate(
        family, text, text, GARDEN, [at], distinctiveness=0.5, rank=0, claims=claims
    )


def pooled(*candidates: Candidate) -> Pool:
    corpus = read_texts([interaction.text for interaction in GARDEN])
    reach = reach_of([c.statement.text for c in candidates], corpus, Population.empty())
    return pool_of(candidates, reach, GARDEN)


def feature(pool: Pool, state: State, name: str) -> Floats:
    found: Floats = features(pool, state)[0, :, FEATURES.index(name)]
    return found


def test_the_pool_holds_numbers_that_can_be_weighed() -> None:
    pool = pool_for(BAKER)
    found = features(pool, State.empty(pool, 2, 160))
    assert found.shape == (2, len(pool.candidates), len(FEATURES))
    assert np.isfinite(found).all()


@pytest.mark.parametrize("max_tokens", [0, 7, 20, 60, 160])
def test_a_profile_keeps_its_budget(max_tokens: int) -> None:
    pool = pool_for(BAKER)
    chosen = choose(pool, UNTRAINED, max_tokens)
    text = render_text([pool.candidates[one].statement for one in chosen])
    assert estimate_tokens(text) <= max_tokens


def test_candidates_with_a_claim_in_common_exclude_one_another() -> None:
    pool = pooled(
        candidate("tulips, roses", "tulip", "rose"),
        candidate("roses, violins", "rose", "violin"),
        candidate("violins", "violin"),
    )
    weights = weights_of({"gain": 1.0})
    chosen = choose(pool, weights, 160)
    claims = [claim for one in chosen for claim in pool.candidates[one].claims]
    assert len(claims) == len(set(claims))
    assert pool.excludes.tolist() == [[True, True, False], [True] * 3, [False, True, True]]


def test_no_profile_says_two_things_with_a_claim_in_common() -> None:
    pool = pool_for(BAKER)
    chosen = choose(pool, UNTRAINED, 1_000)
    claims = [claim for one in chosen for claim in pool.candidates[one].claims]
    assert len(chosen) > 1
    assert len(claims) == len(set(claims))


def test_what_was_said_gains_nothing_more() -> None:
    pool = pooled(candidate("tulips, roses"), candidate("tulips and roses"), candidate("violins"))
    state = State.empty(pool, 1, 160)
    before = feature(pool, state, "gain")
    state.take(pool, np.array([0]), np.array([0]))
    after = feature(pool, state, "gain")
    assert before[1] > 0
    assert after[1] == pytest.approx(0, abs=1e-6)
    assert after[2] == pytest.approx(before[2])
    assert feature(pool, state, "overlap")[1:] == pytest.approx([1, 0])


def test_a_family_is_counted_as_it_is_used() -> None:
    pool = pooled(
        candidate("tulips"), candidate("roses"), candidate("violins", family=Family.STYLE)
    )
    state = State.empty(pool, 1, 160)
    state.take(pool, np.array([0]), np.array([0]))
    assert (feature(pool, state, "another mention") > 0).tolist() == [True, True, False]


def test_profiles_in_the_making_do_not_touch_one_another() -> None:
    pool = pool_for(BAKER)
    state = State.empty(pool, 2, 160)
    untouched = features(pool, state)[1]
    state.take(pool, np.array([0]), np.array([0]))
    assert (features(pool, state)[1] == untouched).all()
    assert state.allowed(pool)[1].all()


def test_a_quote_reaches_nothing_of_its_own_interaction() -> None:
    quote = candidate('"tulips and roses"', family=Family.QUOTE)
    reached = pooled(quote, candidate("tulips, roses")).gains[0]
    assert reached[0, 0] == 0
    assert reached[0, 1] > 0
    assert reached[1, 0] > 0


def test_a_policy_is_read_as_it_was_written(tmp_path: Path) -> None:
    weights = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    digest = write_policy(tmp_path / "policy", weights)
    policy = read_policy(tmp_path / "policy")
    assert policy.weights == pytest.approx(weights, abs=1e-4)
    assert policy.sha256 == digest
    assert digest == sha256((tmp_path / "policy" / WEIGHTS_FILE).read_bytes()).hexdigest()


def test_a_policy_that_was_read_writes_the_same_bytes(tmp_path: Path) -> None:
    digest = write_policy(tmp_path / "one", UNTRAINED)
    assert write_policy(tmp_path / "two", read_policy(tmp_path / "one").weights) == digest


@pytest.mark.parametrize("changed", ["features", "contexts", "format", "weights"])
def test_weights_of_another_versions_features_are_refused(tmp_path: Path, changed: str) -> None:
    write_policy(tmp_path, UNTRAINED)
    file = tmp_path / WEIGHTS_FILE
    document = orjson.loads(file.read_bytes())
    document[changed] = 99 if changed == "format" else document[changed][:-1]
    file.write_bytes(orjson.dumps(document))
    with pytest.raises(ConfigurationError, match="other features than this version: train it"):
        read_policy(tmp_path)


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"format": 1}', b"\xff"])
def test_a_folder_without_a_policy_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / WEIGHTS_FILE).write_bytes(content)
    with pytest.raises(ConfigurationError, match="holds no trained policy"):
        read_policy(tmp_path)


def test_what_is_too_long_for_the_budget_is_not_allowed() -> None:
    short, long = candidate("tulips"), candidate("tulips, roses and a great many violins")
    pool = pooled(short, long)
    state = State.empty(pool, 1, short.tokens)
    assert state.allowed(pool).tolist() == [[True, False]]
