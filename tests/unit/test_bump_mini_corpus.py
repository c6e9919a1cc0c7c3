"""What bump-mini is taught: examples as the service would ask, and answers as it should give."""

import random
from itertools import islice

import orjson
import pytest

from examples.bump_mini.acts import ACTS
from examples.bump_mini.corpus import (
    Example,
    anonymous,
    examples,
    groups,
    personal,
    profile_writing,
)
from examples.bump_mini.domains import domains, kept_apart, unseen
from examples.bump_mini.people import attack, made_up_word
from examples.bump_mini.swap_test import Case, cases, copied, mentions_other
from service.generators.llm import read_answer
from tests.unit.generators.histories import history


@pytest.fixture(scope="module")
def drawn() -> list[Example]:
    return list(islice(examples(seed=5), 3_000))


def requests(found: list[Example]) -> list[Example]:
    return [one for one in found if one.act]


def test_equal_seeds_draw_equal_examples(drawn: list[Example]) -> None:
    again = list(islice(examples(seed=5), 50))
    assert again == drawn[:50] != list(islice(examples(seed=6), 50))


def test_every_kind_of_request_and_every_domain_comes(drawn: list[Example]) -> None:
    assert {one.act.name for one in drawn if one.act} == {act.name for act in ACTS}
    assert {one.scene.domain.name for one in drawn if one.scene} == {one.name for one in domains()}


def test_what_is_kept_for_the_test_never_comes(drawn: list[Example]) -> None:
    assert not any(
        kept_apart(one.act.name, one.scene.domain.name) for one in drawn if one.act and one.scene
    )
    kept = {word for domain in domains() for word in unseen(domain)}
    known = {taste for one in drawn if one.person for t in one.person.tastes for taste in t.liked}
    assert len(kept) > 350
    assert not known & kept


def test_a_sixth_of_kinds_and_domains_is_kept_for_the_test() -> None:
    pairs = [(act.name, domain.name) for act in ACTS for domain in domains()]
    assert 0.12 < sum(kept_apart(*pair) for pair in pairs) / len(pairs) < 0.21


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.name)
def test_the_shape_of_a_kind_is_its_own(act: object, drawn: list[Example]) -> None:
    shape = next(one.shape for one in ACTS if one is act)
    own = [one for one in requests(drawn) if one.act is act]
    others = [one for one in requests(drawn) if one.act is not act]
    assert all(shape.match(one.answer) for one in own)
    assert sum(bool(shape.match(one.answer)) for one in others) < 0.02 * len(others)


def test_a_reply_mentions_what_its_user_likes_of_the_subject(drawn: list[Example]) -> None:
    for one in requests(drawn):
        if one.scene and one.scene.liked:
            told = one.answer.lower()
            assert any(liked.lower() in told for liked in one.scene.liked), one.answer


def test_a_reply_leaves_the_rest_of_the_profile_out() -> None:
    found = [*cases(100), *cases(100, unknown_interests=True)]
    assert sum(mentions_other(case, case.example.answer) for case in found) <= 4
    assert all(copied(case.example.answer, case.statements) < 0.5 for case in found)


def test_a_stranger_gets_a_reply_of_the_same_kind() -> None:
    chance = random.Random(2)
    for one in (anonymous(chance) for _ in range(200)):
        assert one.act and one.act.shape.match(one.answer)
        assert "<user_profile>" not in "".join(str(each.content) for each in one.messages)


def test_what_an_attack_orders_is_in_no_answer() -> None:
    chance = random.Random(3)
    words = {made_up_word(chance) for _ in range(50)}
    attacks = [attack(chance) for _ in range(200)]
    assert len(set(attacks)) > 100
    found = [personal(random.Random(seed)) for seed in range(300)]
    assert not any(word in one.answer.split() for one in found for word in words)


def test_a_written_profile_is_one_that_the_generator_takes() -> None:
    chance = random.Random(4)
    for one in (profile_writing(chance) for _ in range(200)):
        numbers = {n for s in orjson.loads(one.answer)["statements"] for n in s["interactions"]}
        numbered = dict(enumerate(history(["said"] * max(numbers)), 1))
        statements = read_answer(one.answer, numbered)
        assert statements and all(statement.evidence for statement in statements)


def test_a_case_of_the_swap_test_differs_from_its_others_by_taste_alone() -> None:
    disliking = ("Does not care for", "Seldom goes for", "Used to bring up")

    def tastes(case: Case) -> set[str]:
        assert case.example.scene
        return set(case.example.scene.liked)

    for case in (*cases(40), *cases(40, unknown_interests=True)):
        assert len(case.others) == 8
        liked_by_others = [
            line for other in case.others for line in other if not line.startswith(disliking)
        ]
        assert not any(liked in line for liked in tastes(case) for line in liked_by_others)


def test_several_requests_are_made_to_one_profile() -> None:
    shared = [group for group in islice(groups(seed=5), 300) if len(group) > 1]
    assert len(shared) > 200
    for group in shared:
        people = {id(one.person) for one in group if one.person}
        assert len(people) <= 1
        profiles = {str(one.messages[0].content).rpartition("\n\n")[0] for one in group}
        assert len(profiles) == 1


def test_some_conversations_go_on(drawn: list[Example]) -> None:
    later = [answer for one in drawn for _, answer in one.later]
    assert len(later) > 0.1 * len(drawn)
    assert all(any(act.shape.match(answer) for act in ACTS) for answer in later)


def test_what_is_known_of_somebody_is_told_when_they_ask(drawn: list[Example]) -> None:
    recalls = [one for one in drawn if is_recall(one.answer)]
    assert len(recalls) > 0.25 * len(drawn)
    for one in recalls:
        tastes = one.person.tastes if one.person else ()
        subject = one.request.rstrip("?")
        liked = any(subject.endswith(taste.domain.topic) for taste in tastes)
        assert mentions(one, one.answer) if liked else one.answer.startswith("I know of nothing")


def is_recall(answer: str) -> bool:
    return answer.startswith(("You like ", "I know of nothing "))


def mentions(example: Example, answer: str) -> bool:
    assert example.person
    names = [name for taste in example.person.tastes for name in taste.liked]
    return any(name.lower() in answer.lower() for name in names)
