"""Ratings predicted from the histories of other users and one's own, and from profiles."""

import random

import pytest

from service.evaluation.lamp.profiles import Written
from service.evaluation.lamp.ratings import (
    MIN_USERS,
    errors_within_histories,
    from_history,
    from_profiles,
    without_last,
)
from service.evaluation.lamp.tasks import TASKS, Sample
from service.evaluation.metrics import absolute_errors
from tests.unit.evaluation.lamp.histories import sample

REVIEWS = TASKS["LaMP_3"]
_ASK = "What is the score of the following review? review: "


def users(count: int = 60) -> tuple[list[Sample], dict[str, str]]:
    """Who rates kettles low and books high, but is asked about either; and the golds."""
    chance = random.Random(3)
    found, golds = [], {}
    for number in range(count):
        things = chance.choices(["kettle", "book"], k=25)
        entries = [(f"no{chance.randrange(400)} {thing}", _rating(thing)) for thing in things]
        asked = chance.choice(["kettle", "book"])
        sample_id = str(number)
        found.append(
            sample(
                entries, sample_id=sample_id, question=f"{_ASK}no{chance.randrange(400)} {asked}"
            )
        )
        golds[sample_id] = f"{_rating(asked):g}"
    return found, golds


def _rating(thing: str) -> float:
    return 2.0 if thing == "kettle" else 5.0


def error(answers: dict[str, str], golds: dict[str, str]) -> float:
    errors = absolute_errors([(answers[key], gold) for key, gold in golds.items()])
    return sum(errors) / len(errors)


def test_similar_items_say_more_than_the_median() -> None:
    samples, golds = users()
    assert error(from_history(REVIEWS, samples), golds) < 0.2


def test_everybody_is_answered_and_golds_take_no_part() -> None:
    samples, golds = users(MIN_USERS)
    answers = from_history(REVIEWS, samples)
    assert answers.keys() == golds.keys()
    assert {float(answer) for answer in answers.values()} <= {1, 2, 3, 3.5, 4, 5}


def test_a_users_own_ratings_teach_nothing_about_that_user() -> None:
    """Replacing one user's history changes nothing for the users of the same fold."""
    samples, _ = users()
    other = sample([("soap", 1.0)] * 20, sample_id=samples[0].sample_id)
    before = from_history(REVIEWS, samples)
    after = from_history(REVIEWS, [other, *samples[1:]])
    same_fold = [samples[place].sample_id for place in range(5, len(samples), 5)]
    assert [before[one] for one in same_fold] == [after[one] for one in same_fold]


def test_within_histories_it_errs_less_than_the_median_so_far() -> None:
    samples, _ = users()
    found = errors_within_histories(REVIEWS, samples)
    assert found.keys() == {one.sample_id for one in samples}
    ours, theirs = (sum(errors) for errors in zip(*found.values(), strict=True))
    assert ours < theirs / 2


def test_a_profile_is_read_by_what_it_cites_alone() -> None:
    samples, golds = users()

    def cite(one: Sample) -> Written:
        cited = tuple(interaction.event_id for interaction in one.history[::2])
        return Written(("Rates things.",), (cited,))

    profiles = {one.sample_id: cite(one) for one in samples}
    earlier = {one.sample_id: cite(without_last(one)) for one in samples}
    assert error(from_profiles(REVIEWS, samples, profiles, earlier), golds) < 0.5


def test_who_has_no_profile_gets_what_is_usual() -> None:
    samples, _ = users(MIN_USERS + 1)
    cited = {
        one.sample_id: Written(("x",), (tuple(i.event_id for i in one.history[:-1]),))
        for one in samples
    }
    profiles = {key: written for key, written in cited.items() if key != samples[0].sample_id}
    assert from_profiles(REVIEWS, samples, profiles, cited)[samples[0].sample_id] in ("2", "5")


def test_too_few_users_teach_nothing() -> None:
    samples, _ = users(MIN_USERS - 1)
    with pytest.raises(ValueError, match="too few to learn from"):
        from_history(REVIEWS, samples)


def test_without_a_last_entry_the_rest_stays() -> None:
    samples, _ = users(1)
    assert without_last(samples[0]).history == samples[0].history[:-1]
