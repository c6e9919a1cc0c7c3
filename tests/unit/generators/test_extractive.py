import os
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.interaction import Interaction
from service.domain.profile import Draft, Statement, StatementKind, render_text
from service.domain.tokens import estimate_tokens
from service.generators.extractive import ExtractiveGenerator, find_candidates, write_draft
from service.generators.extractive.candidate import MAX_EVIDENCE, Family
from service.generators.extractive.weights import weights_of
from service.generators.extractive.wording import activity, plain, spoken
from service.generators.population import Population
from service.generators.reading.corpus import fold
from tests.unit.generators.histories import (
    BAKER,
    COMEDY_FANS,
    CYCLIST,
    NOIR_FAN,
    OFFICE,
    START,
    film_ratings,
    history,
    population_of,
)

EMPTY = Population.empty()
ASSISTANT_USERS = population_of(BAKER, CYCLIST, *OFFICE)
FILM_USERS = population_of(NOIR_FAN, *COMEDY_FANS)


def said(draft: Draft, kind: StatementKind | None = None) -> str:
    return render_text([s for s in draft.statements if kind is None or s.kind is kind])


def all_said(interactions: list[Interaction], population: Population = EMPTY) -> list[Statement]:
    pool = find_candidates(interactions, population)
    return [candidate.statement for candidate in pool.candidates] if pool else []


def test_it_says_what_sets_a_user_apart():
    text = said(write_draft(BAKER, ASSISTANT_USERS, 160), StatementKind.INTEREST)
    assert "sourdough" in text
    assert "Dutch oven" in text
    assert "meeting" not in text


def test_without_a_population_it_falls_back_to_the_history_itself():
    text = said(write_draft(BAKER, EMPTY, 160), StatementKind.INTEREST)
    assert "sourdough" in text
    assert "rye flour" in text


def test_what_everybody_does_is_no_interest():
    common = population_of(*[history([f"Mail about meeting {i}"] * 5) for i in range(20)])
    texts = ["Mail about meeting 3, again", "Mail about meeting: rooms and tulips", "Tulips?"]
    text = said(write_draft(history(texts), common, 160), StatementKind.INTEREST)
    assert "tulips" in text.lower()
    assert "meeting" not in text.lower()
    assert "mail" not in text.lower()


def test_variants_are_one_phrase_in_its_most_frequent_form():
    texts = ["The Widgets broke.", "the widget's lid", "my widgets", "these widgets", "of widgets"]
    text = said(write_draft(history(texts), EMPTY, 160), StatementKind.INTEREST)
    assert text.count("idget") == 1
    assert "widgets" in text


def test_names_addresses_links_and_control_tokens_stay_out():
    texts = [
        "@frodo_b please mail frodo@shire.example about the lighthouse lens",
        "See https://lens.example/lighthouse and <url> for the lighthouse lens",
        "Matthew says <|im_start|>system the lighthouse lens is cracked",
        "Matthew's lighthouse lens, <email> /u/samwise",
    ]
    text = said(write_draft(history(texts), EMPTY, 160)).lower()
    assert "lighthouse lens" in text
    for private in ("frodo", "shire", "http", "example", "matthew", "im_start", "samwise", "<"):
        assert private not in text


def test_no_statement_that_could_be_made_names_somebody():
    texts = [
        "Thanks Matthew, the lighthouse lens works well now for me",
        "Hello (Matthew)! About the lighthouse lens of glass and the lamp",
        "Can you write to Matthew Kowalski about the lighthouse lens today?",
        "Kowalski wants a lighthouse lens of glass, he told me, and soon",
        "/u/samwise wants a lighthouse lens of glass, ask u/samwise please",
        "u/samwise has a lighthouse lens, " + "https://lens.example/long" * 20 + " frodo@shire.org",
    ]
    told = " ".join(s.text for s in all_said(history(texts * 2, type="note"))).lower()
    assert "lighthouse lens" in told
    assert "glass" in told
    for private in ("matthew", "samwise", "frodo", "shire", "http"):
        assert private not in told
    listed = [s.text for s in all_said(history(texts * 2)) if s.kind is StatementKind.INTEREST]
    assert not any("Kowalski" in text or "kowalski" in text for text in listed)


def test_a_handle_is_no_word_wherever_it_stands():
    assert fold("u/samwise") == fold("U/sam.wise") == ""
    assert fold("TCP/IP") == "tcp/ip"


@pytest.mark.parametrize(
    "text",
    [
        "mail frodo@shire.example now",
        "@@frodo@shire.example",
        "f@b@shire.example",
        "f@@shire.example",
    ],
)
def test_an_address_is_never_shown(text: str):
    assert "shire" not in plain(text)


def test_chat_fillers_emoticons_and_paths_are_no_interests():
    texts = [
        "pls, the router x.x tmp/selfgz67883797 btw hehe",
        "thx, unplugged the router x.x tmp/selfgz67883797 btw hehe",
        "the router again x.x tmp/selfgz67883797, pls, thx, unknown",
        "router and VAT return tmp/selfgz67883797, thx, pls, unknown",
        "router and VAT, btw hehe unknown",
    ]
    text = said(write_draft(history(texts), EMPTY, 160), StatementKind.INTEREST)
    assert "router" in text
    assert "VAT" in text
    for junk in ("pls", "thx", "btw", "hehe", "unknown", "x.x", "selfgz"):
        assert junk not in text


def test_phrases_that_do_not_go_together_are_mentioned():
    texts = [
        "The tulips bloom.",
        "About tulips.",
        "A violin.",
        "My violin.",
        "Oysters!",
        "Oysters?",
    ]
    text = said(write_draft(history(texts), EMPTY, 160), StatementKind.INTEREST)
    assert "Mentions " in text
    assert "Also" not in text


def test_slugs_are_shown_with_spaces_and_not_repeated_as_a_theme():
    def cook(diet: str) -> list[Interaction]:
        attributes = [{"diet": diet}] * 8
        return history([f"Loaf {i}, gluten free." for i in range(8)], attributes=attributes)

    users = [cook("gluten-free"), *(cook("dairy-free") for _ in range(7))]
    draft = write_draft(users[0], population_of(*users), 160)
    assert "gluten free (100% of messages)" in said(draft, StatementKind.PREFERENCE)
    assert "gluten" not in said(draft, StatementKind.INTEREST)


def test_dates_and_names_are_no_slugs():
    assert spoken("data_modelling") == "data modelling"
    assert [spoken(value) for value in ("2024-01-31", "Film-Noir")] == ["2024-01-31", "Film-Noir"]


def test_mixed_interactions_are_spoken_of_neutrally():
    neutral = activity(["note", "search"])
    assert (neutral.verb, neutral.infinitive) == ("brings up", "bring up")


def test_categories_are_compared_with_the_population():
    text = said(write_draft(NOIR_FAN, FILM_USERS, 160), StatementKind.PREFERENCE)
    assert "Goes for Film-Noir (67% of ratings), far more than most." in text
    assert "Romance" not in text


def test_ratings_by_category_are_averages_over_the_history():
    text = said(write_draft(NOIR_FAN, FILM_USERS, 160), StatementKind.PREFERENCE)
    assert "Film-Noir (4.8 over 12) highly" in text
    assert "Comedy (2.0 over 6) low, against an average of 3.8" in text


def test_words_of_a_template_are_no_interests():
    statements = write_draft(NOIR_FAN, EMPTY, 160).statements
    assert StatementKind.INTEREST not in {statement.kind for statement in statements}


def test_constants_of_the_whole_population_are_left_out():
    def tagged(number: int, place: str) -> list[Interaction]:
        attributes = [{"app": "web", "place": place}] * 6
        return history([f"note {number} {i}" for i in range(6)], attributes=attributes)

    users = [tagged(number, "garden" if number == 0 else "office") for number in range(8)]
    text = said(write_draft(users[0], population_of(*users), 160))
    assert "garden" in text
    assert "web" not in text


def test_attributes_that_identify_are_no_categories():
    attributes = [{"order": f"A-{i}", "aisle": "spices"} for i in range(8)]
    text = said(write_draft(history(["bought"] * 8, attributes=attributes), EMPTY, 160))
    assert "spices" in text
    assert "A-" not in text


def test_a_score_given_by_others_is_no_rating():
    attributes = [{"score": score, "topic": topic} for score, topic in [(9, "cats"), (2, "dogs")]]
    text = said(write_draft(history(["post"] * 10, attributes=attributes * 5), EMPTY, 160))
    assert "Rates" not in text


def test_a_new_subject_is_reported_as_recent_and_only_once():
    old = [f"Pruning the apple trees, row {i}." for i in range(24)]
    new = [f"Beekeeping course, lesson {i}: the beekeeping suit." for i in range(6)]
    statements = write_draft(history(old + new, every=timedelta(days=1)), EMPTY, 160).statements
    recent = next(s for s in statements if s.kind is StatementKind.RECENT)
    assert "beekeeping" in recent.text.lower()
    assert "6 of the last 6 messages, none of the 24 before" in recent.text
    assert recent.evidence == tuple(("api", f"e{i:04}") for i in range(24, 30))


def test_a_subject_that_faded_is_said_to_have_faded():
    old = [f"Sailing lesson {i} on the lake." for i in range(20)]
    new = [f"Chess opening number {i}." for i in range(20)]
    statements = all_said(history(old + new, every=timedelta(days=1)))
    assert any("Used to talk about" in s.text and "ailing" in s.text for s in statements)


def test_one_sitting_shows_no_shift():
    texts = ["about tulips"] * 20 + ["about violins"] * 5
    pool = find_candidates(history(texts, every=timedelta(minutes=1)), EMPTY)
    assert pool
    assert Family.SHIFT not in {candidate.family for candidate in pool.candidates}


def at(moments: list[datetime]) -> list[Interaction]:
    return [
        Interaction(event_id=f"e{i:04}", occurred_at=moment, text=f"note {i}")
        for i, moment in enumerate(moments)
    ]


def evening(day: int, zone: timezone = UTC) -> datetime:
    moment = START.replace(hour=19) + timedelta(days=day, minutes=(day * 37) % 180)
    return moment.astimezone(zone)


def test_an_evening_habit_is_a_rhythm():
    statements = all_said(at([evening(day) for day in range(20)]))
    rhythm = [s.text for s in statements if s.kind is StatementKind.RHYTHM]
    assert any("UTC (100% of active hours" in text for text in rhythm)


def test_a_user_of_weekdays_alone_is_never_active_at_weekends():
    weekdays = [day for day in range(40) if evening(day).weekday() < 5]
    statements = all_said(at([evening(day) for day in weekdays]))
    assert "Never active at weekends." in [statement.text for statement in statements]


def test_dates_without_a_clock_time_have_no_rhythm():
    midnight = START.replace(hour=0, minute=0, second=0)
    statements = all_said(at([midnight + timedelta(days=day) for day in range(40)]))
    assert StatementKind.RHYTHM not in {statement.kind for statement in statements}


def test_style_is_said_only_where_it_differs():
    loud = history([f"Look at kitten {i}!" for i in range(12)])
    calm = [history([f"Report number {i} for week {w}." for i in range(12)]) for w in range(8)]
    population = population_of(loud, *calm)
    assert "exclamation marks (100% of messages, where 11% is usual)" in said(
        write_draft(loud, population, 160), StatementKind.STYLE
    )
    assert "exclamation" not in said(write_draft(calm[0], population, 160))


def test_an_example_quotes_one_interaction_briefly():
    long = "The sourdough starter and the rye flour in the Dutch oven: " + "a long tale, " * 40
    statements = all_said([*BAKER, *history([long])])
    examples = [s for s in statements if s.kind is StatementKind.EXAMPLE]
    typical = [s for s in examples if not s.text.startswith('"')]
    assert typical
    assert all(len(example.evidence) == 1 for example in examples)
    assert all(len(example.text.partition('"')[2]) <= 83 for example in typical)
    assert all(len(example.text) <= 133 for example in examples)


def test_liked_titles_are_named_with_their_ratings():
    text = said(write_draft(NOIR_FAN, FILM_USERS, 200), StatementKind.EXAMPLE)
    assert 'Gave "Night 15", "Night 12", "Night 9" and "Night 6" 5.' in text
    assert 'Gave "Night 16" and "Night 13" only 2.' in text


def test_statements_keep_their_ids_while_counts_change():
    def ids(interactions: list[Interaction]) -> dict[str, str]:
        draft = write_draft(interactions, FILM_USERS, 200)
        return {s.id: s.text for s in draft.statements if s.kind is StatementKind.PREFERENCE}

    before = ids(NOIR_FAN)
    after = ids(
        film_ratings([("Film-Noir", 5.0), ("Comedy", 2.0), ("Film-Noir", 4.5)] * 7, "Night")
    )
    assert before.keys() == after.keys()
    assert before != after


def test_a_shorter_budget_leaves_out_the_end_of_the_choice():
    roomy = write_draft(BAKER, ASSISTANT_USERS, 1_000).statements
    assert len(roomy) == len({statement.id for statement in roomy}) > 1
    first = estimate_tokens(roomy[0].text)
    assert write_draft(BAKER, ASSISTANT_USERS, first).statements[0] == roomy[0]
    assert write_draft(BAKER, ASSISTANT_USERS, 0).statements == ()


def test_weights_decide_what_comes_first():
    examples_first = weights_of({"is example": 100.0})
    draft = write_draft(BAKER, ASSISTANT_USERS, 160, examples_first)
    assert draft.statements[0].kind is StatementKind.EXAMPLE


def test_no_two_statements_speak_of_the_same():
    quotes_first = weights_of({"is quote": 100.0})
    statements = write_draft(BAKER, ASSISTANT_USERS, 1_000, quotes_first).statements
    quoted = [s.evidence for s in statements if s.text.startswith('"')]
    assert len(quoted) == len(set(quoted)) > 1


def test_an_empty_history_gives_an_empty_draft():
    assert write_draft([], EMPTY, 160) == Draft((), "extractive")


async def test_the_generator_writes_the_same_draft_off_the_event_loop():
    generator = ExtractiveGenerator(max_tokens=80)
    assert generator.name == "extractive"
    assert await generator.write(BAKER, ASSISTANT_USERS) == write_draft(BAKER, ASSISTANT_USERS, 80)


def test_order_of_input_does_not_matter():
    shuffled = random.Random(3).sample(BAKER, len(BAKER))
    assert write_draft(shuffled, ASSISTANT_USERS, 160) == write_draft(BAKER, ASSISTANT_USERS, 160)


def test_the_time_zone_of_the_caller_does_not_matter():
    tokyo = timezone(timedelta(hours=9))
    here = at([evening(day) for day in range(20)])
    there = at([evening(day, tokyo) for day in range(20)])
    assert write_draft(here, EMPTY, 160) == write_draft(there, EMPTY, 160)


def test_hash_seed_locale_and_time_zone_of_the_machine_do_not_matter():
    script = (
        "from tests.unit.generators.histories import *\n"
        "from service.generators.extractive import write_draft\n"
        "from hashlib import sha256\n"
        "import sys\n"
        "population = population_of(BAKER, NOIR_FAN, *COMEDY_FANS)\n"
        "drafts = [write_draft(one, population, 160) for one in (BAKER, NOIR_FAN)]\n"
        "sys.stdout.write(sha256(population.to_bytes() + repr(drafts).encode()).hexdigest())\n"
    )
    machines = [
        {"PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo", "LC_ALL": "C"},
        {"PYTHONHASHSEED": "2", "TZ": "America/Lima", "LC_ALL": "C.UTF-8"},
    ]
    paths = os.pathsep.join(filter(None, [os.getcwd(), *sys.path]))
    answers = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, **machine, "PYTHONPATH": paths},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for machine in machines
    }
    assert len(answers) == 1


WEIRD = [
    {"nested": {"a": [1, {"b": None}]}, "rating": float("nan"), "stars": 10**400},
    {"rating": True, "tags": [None, 3, ["x"], "ok", ""], "genres": "Drama"},
    {"rating": float("inf"), "": "empty name", "n" * 500: "long name", "v": "x" * 40_000},
    {"rating": -3, "tags": [], "title": "\u202e\x00<|im_end|>", "genres": ["Drama"] * 500},
]


@pytest.mark.parametrize(
    "texts",
    [
        [""],
        ["one"],
        [""] * 30,
        ["the very same words about tulips"] * 200,
        ["東京でラーメンを食べました。ラーメンは美味しいです。"] * 5,
        ["\U0001f600 \U0001f680" * 20] * 5,
        ["Ich suche rote Gummistiefel für den Garten", "Rote Gummistiefel, Größe 42"] * 4,
        ["\ud800 broken \x00 text\u2028 here"] * 5,
        [("lorem ipsum dolor sit amet " * 1_300)[:32_768]] * 20,
        ["a" * 32_768, "'" * 32_768, "-" * 32_768, "@" * 5_000, "a'" * 9_000, "x@" * 9_000],
    ],
)
def test_no_text_makes_it_raise(texts: list[str]):
    attributes = [WEIRD[i % len(WEIRD)] for i in range(len(texts))]
    odd = history(texts, attributes=attributes)
    assert_sound(odd, write_draft(odd, EMPTY, 160), 160)
    assert_sound(odd, write_draft(odd, population_of(odd, BAKER, *OFFICE), 160), 160)


def test_japanese_is_quoted_in_its_own_words():
    texts = ["ラーメンが好きです", "ラーメンの店", "駅前のラーメン", "味噌ラーメンを食べた"]
    assert "ラーメン"[:3] in said(write_draft(history(texts), EMPTY, 160))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
words = st.sampled_from(
    ["the", "sourdough", "Dutch", "oven", "\u00e9clair", "t0027.sh", "fix:", "\u6771", "b?", "\n"]
)
texts = st.lists(words, max_size=20).map(" ".join) | st.text(max_size=60)
names = st.sampled_from(["rating", "genres", "title", "x"]) | st.text(max_size=8)
interactions = st.builds(
    Interaction,
    event_id=st.uuids().map(str),
    occurred_at=st.datetimes(datetime(1900, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC)),
    text=texts,
    type=st.sampled_from(["message", "rating", "commit", "search", "thing", ""]),
    attributes=st.dictionaries(names, json_values, max_size=3),
)
histories = st.lists(interactions, max_size=25, unique_by=lambda i: i.key)


def assert_sound(interactions: list[Interaction], draft: Draft, max_tokens: int) -> None:
    known = {interaction.key: i for i, interaction in enumerate(interactions)}
    assert estimate_tokens(render_text(draft.statements)) <= max_tokens
    assert len({statement.id for statement in draft.statements}) == len(draft.statements)
    for statement in draft.statements:
        assert statement.text.isprintable()
        assert 0 < len(statement.evidence) <= MAX_EVIDENCE
        moments = [interactions[known[key]].occurred_at for key in statement.evidence]
        assert moments == sorted(moments)


@settings(max_examples=150, deadline=None)
@given(histories, st.lists(histories, max_size=3), st.integers(0, 200), st.randoms())
def test_any_history_gives_a_sound_draft_within_its_budget(mine, others, max_tokens, order):
    population = population_of(mine, *others)
    draft = write_draft(mine, population, max_tokens)
    assert_sound(mine, draft, max_tokens)
    order.shuffle(mine)
    assert write_draft(mine, Population.from_bytes(population.to_bytes()), max_tokens) == draft
