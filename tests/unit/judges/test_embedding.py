"""Ranks by meaning, a profile by its best statement."""

import pytest

from service.bump.batch import draw_negatives, split
from service.bump.judge import Cost, Direction, Question
from service.bump.ranking import chance
from service.evaluation.bidirectional import score_profiles
from service.judges.embedding import EmbeddingJudge
from service.judges.encoder import Encoder
from tests.unit.bump.test_batch import interaction

BAKER = "Bakes sourdough bread on weekends.\nRepairs old bicycles."
RUNNER = "Trains for long trail races.\nOften asks about sore muscles."
LOAF = "How long should a loaf rise before it goes into the oven?"
RACE = "Signed up for a 50 km run in the mountains"


@pytest.fixture
def judge(encoder: Encoder) -> EmbeddingJudge:
    return EmbeddingJudge(encoder)


def forward(profile: str, *interactions: str) -> Question:
    return Question(profile, interactions, Direction.FORWARD, group="ana")


def backward(interaction: str, *profiles: str) -> Question:
    return Question(interaction, profiles, Direction.BACKWARD, group="ana")


async def test_a_profile_finds_interactions_that_share_no_word_with_it(
    judge: EmbeddingJudge,
) -> None:
    loaf, race = (await judge.score([forward(BAKER, LOAF, RACE)]))[0]
    assert loaf > race + 0.2


async def test_an_interaction_finds_its_profile(judge: EmbeddingJudge) -> None:
    baker, runner = (await judge.score([backward(RACE, BAKER, RUNNER)]))[0]
    assert runner > baker + 0.2


async def test_the_best_statement_counts_wherever_it_stands(judge: EmbeddingJudge) -> None:
    first, last = BAKER.split("\n")
    asked = [backward(LOAF, BAKER, f"{last}\n\n  {first} ", first, last)]
    both, turned, baking, repairing = (await judge.score(asked))[0]
    assert both == turned == baking > repairing


async def test_both_directions_see_the_same_likeness(judge: EmbeddingJudge) -> None:
    ((there,), (back,)) = await judge.score([forward(BAKER, LOAF), backward(LOAF, BAKER)])
    assert there == back


async def test_an_interaction_of_several_lines_is_one_text(judge: EmbeddingJudge) -> None:
    lines = f"{LOAF}\n{RACE}"
    asked = forward(RUNNER, lines, f"{LOAF} {RACE}", LOAF, RACE)
    whole, joined, loaf, race = (await judge.score([asked]))[0]
    assert whole == pytest.approx(joined, abs=1e-5)
    assert loaf < whole < race


async def test_equal_candidates_tie_wherever_they_stand(judge: EmbeddingJudge) -> None:
    candidates = [f"candidate {number % 4}" for number in range(12)]
    scores = (await judge.score([forward(BAKER, *candidates)]))[0]
    assert scores[:4] == scores[4:8] == scores[8:]


@pytest.mark.parametrize("empty", ["", " \n\n "])
async def test_an_empty_profile_says_nothing(judge: EmbeddingJudge, empty: str) -> None:
    asked = [forward(empty, LOAF, RACE), backward(LOAF, empty, empty)]
    assert await judge.score(asked) == [[0, 0], [0, 0]]


async def test_empty_profiles_earn_exactly_chance(judge: EmbeddingJudge) -> None:
    histories = {f"user {n}": [interaction(f"{n} {d}", d) for d in range(6)] for n in range(10)}
    examples = [e for u, h in histories.items() if (e := split(u, h, held_out=4))]
    negatives = draw_negatives(examples, count=8, seed=7, time_matched=False)
    empty = dict.fromkeys(histories, "")
    for one in await score_profiles(examples, negatives, empty, judge, orders=1, seed=7):
        assert one.reward.total == pytest.approx(chance(12, 4) + chance(9, 1), abs=1e-12)


async def test_the_texts_of_a_round_are_encoded_once(judge: EmbeddingJudge) -> None:
    before = judge.cost
    asked = [forward("Wants to learn falconry.", f"{LOAF} {n}", RACE) for n in range(3)]
    await judge.score(asked)
    first = judge.cost
    assert first.calls - before.calls == 3
    assert first.tokens > before.tokens
    await judge.score(asked)
    assert judge.cost == Cost(first.calls + 3, first.tokens)
