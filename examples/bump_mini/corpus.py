"""Texts for bump-mini: what it is asked, as the service asks it, and what it should answer.

Everything is made here from `domains/*.toml`; nothing comes from elsewhere. Four kinds of work:
replies to somebody with a profile, to somebody without, profiles of histories, and small talk.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import chain

import orjson

from examples.bump_mini.acts import ACTS, TIMES, Act, Scene, Telling
from examples.bump_mini.domains import Domain, domains, kept_apart
from examples.bump_mini.people import Person, draw_person, listed, made_up_word, profile_of
from service.domain.interaction import Interaction
from service.domain.placement import assemble
from service.domain.profile import StatementKind
from service.domain.prompts import Message, SafeStatement, profile_request, safe_statements

HISTORY_TOKENS = 500
# Of one person; more than fit into a row of the training.
REQUESTS_EACH = 8
_PROFILE_TOKENS = 700

_SMALL_TALK = (
    (("Hello!", "Hi", "Good morning", "Hey there"), "Hello! What can I help you with?"),
    (("Thanks!", "Thank you very much", "That was good"), "You are welcome."),
    (
        ("Who are you?", "What are you?", "Which model are you?"),
        "I am bump-mini, a very small language model. I can suggest, plan and list things.",
    ),
    (
        ("What do you know about me?", "Tell me what you know of me.", "Who am I?"),
        "I see a few notes on what you did, and use what fits the question.",
    ),
    (("Bye", "Good night", "See you tomorrow"), "Goodbye!"),
)
_RECALLS = (
    "What do I like about {}?",
    "What do you know about me and {}?",
    "Which of my interests have to do with {}?",
    "Remind me: what do I care about in {}?",
    "What have I told you about {}?",
    "Does anything that I like belong to {}?",
)
_TOO_HARD = (
    "What is the capital of {}?",
    "How much is {a} times {b}?",
    "Who invented {}?",
    "Translate {} into French.",
    "Write a function that sorts {}.",
    "When was {} founded?",
    "Explain {} to me.",
    "Is {} legal?",
    "What is the price of {}?",
    "Summarise the book {}.",
)
_DOES_NOT_KNOW = (
    "That is more than I know: I am a very small model. I can suggest, plan or list something for "
    "your free time."
)


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt's messages and the answer. `scene`, `act` and `person` where it is a request.

    `later`: what was asked and answered after it, in the same conversation.
    """

    messages: tuple[Message, ...]
    answer: str
    request: str = ""
    scene: Scene | None = None
    act: Act | None = None
    person: Person | None = None
    later: tuple[tuple[str, str], ...] = ()


def examples(seed: int) -> Iterator[Example]:
    """Without an end, in the shares that training sees; nothing that is kept for the test."""
    return chain.from_iterable(groups(seed))


def groups(seed: int) -> Iterator[tuple[Example, ...]]:
    """Examples whose prompts begin alike: several requests to one profile, or to none."""
    chance = random.Random(seed)
    while True:
        drawn = chance.random()
        if drawn < 0.8:
            yield _of_one_person(chance)
        elif drawn < 0.9:
            yield tuple(_turn(None, [], chance) for _ in range(REQUESTS_EACH))
        else:
            yield (profile_writing(chance),)


def _of_one_person(chance: random.Random) -> tuple[Example, ...]:
    person = draw_person(chance)
    statements = profile_of(person, chance, attacked=chance.random() < 0.12)
    return tuple(_turn(person, statements, chance) for _ in range(REQUESTS_EACH))


def _turn(person: Person | None, statements: list[str], chance: random.Random) -> Example:
    """A request, a question for what is known of them, or small talk; now and then two turns."""
    drawn = chance.random()
    if drawn < 0.06:
        return _small_talk(statements, chance)
    first = _recall(person, chance) if drawn < 0.45 else _asked(person, chance, test=False)
    first = replace(first, messages=prompt(first.request, statements))
    if chance.random() < 0.85:
        return first
    second = _asked(person, chance, test=False)
    return replace(first, later=((second.request, second.answer),))


def _recall(person: Person | None, chance: random.Random) -> Example:
    """A question for what is known of them in one domain; the prompt is a stranger's.

    Its answer is nothing but the choice that a reply has to make among the statements. So it
    teaches that choice with far fewer tokens than replies do.
    """
    known = [taste.domain for taste in person.tastes] if person else []
    domain = chance.choice(known if known and chance.random() < 0.85 else domains())
    request = chance.choice(_RECALLS).format(domain.topic)
    taste = person.taste_of(domain) if person else None
    if taste:
        answer = f"You like {listed(taste.liked)}."
    else:
        answer = f"I know of nothing that you like about {domain.topic}."
    return Example(prompt(request, []), answer, request, person=person)


def personal(chance: random.Random, *, test: bool = False) -> Example:
    """A request of somebody with a profile, which mostly has something to do with it."""
    person = draw_person(chance, unseen=test)
    asked = _asked(person, chance, test=test)
    statements = profile_of(person, chance, attacked=chance.random() < 0.12)
    return replace(asked, messages=prompt(asked.request, statements))


def anonymous(chance: random.Random, *, test: bool = False) -> Example:
    """A request of somebody of whom nothing is known."""
    return _asked(None, chance, test=test)


def _asked(person: Person | None, chance: random.Random, *, test: bool) -> Example:
    """A request and its answer; the prompt is a stranger's."""
    about_them = person is not None and (test or chance.random() < 0.85)
    tastes = person.tastes if person and about_them else ()
    domain, act = _question(chance, [taste.domain for taste in tastes] or [*domains()], test)
    scene = _scene(domain, person)
    occasion = chance.choice(domain.occasions)
    request = _request(act, domain, occasion, chance, test)
    answer = act.reply(Telling(scene, occasion, chance))
    return Example(prompt(request, []), answer, request, scene, act, person)


def _scene(domain: Domain, person: Person | None) -> Scene:
    taste = person.taste_of(domain) if person else None
    if taste is None:
        return Scene(domain)
    return Scene(domain, taste.liked, taste.limit[1] if taste.limit else "")


def _request(act: Act, domain: Domain, occasion: str, chance: random.Random, test: bool) -> str:
    """Some name no subject: then any of the person's will do."""
    is_open = bool(act.open_requests) and not test and chance.random() < 0.3
    request = chance.choice(act.open_requests if is_open else act.requests).format(
        ask=chance.choice(domain.asks),
        occasion=occasion,
        topic=domain.topic,
        person=domain.person,
        when=chance.choice(TIMES),
    )
    if chance.random() < 0.1:
        return request[:1].lower() + request[1:].rstrip(".")
    return request


def _question(chance: random.Random, choices: list[Domain], test: bool) -> tuple[Domain, Act]:
    while True:
        domain, act = chance.choice(choices), chance.choice(ACTS)
        if kept_apart(act.name, domain.name) == test:
            return domain, act
        # A person whose domains are all kept apart, or none: look among all acts again.


def prompt(request: str, statements: list[str]) -> tuple[Message, ...]:
    """The messages that the service makes of a request and a profile."""
    asked = (Message("user", request),)
    safe = _safe(tuple(statements))
    return assemble(asked, safe, messages_tokens=0, profile_budget=_PROFILE_TOKENS).messages


@lru_cache(maxsize=16)
def _safe(statements: tuple[str, ...]) -> tuple[SafeStatement, ...]:
    return tuple(safe_statements(statements))


def profile_writing(chance: random.Random, *, test: bool = False) -> Example:
    """A history, and the profile that says what its person came back to, with the evidence."""
    person = draw_person(chance, unseen=test)
    said = [
        (chance.choice(taste.domain.messages).format(x=liked), liked)
        for taste in person.tastes[:3]
        for liked in taste.liked[:2]
        for _ in range(chance.randint(1, 3))
    ]
    other = draw_person(chance, unseen=test).tastes[0]
    said += [(chance.choice(other.domain.messages).format(x=other.liked[0]), other.liked[0])]
    chance.shuffle(said)
    return Example(history_prompt([text for text, _ in said], chance), _profile(said, chance))


def history_prompt(texts: list[str], chance: random.Random) -> tuple[Message, ...]:
    """The messages by which the worker asks for a profile of what somebody wrote."""
    start = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=chance.randrange(4_000_000))
    kind = chance.choice(("message", "note", "search", "post"))
    history = [
        Interaction(str(n), start + timedelta(hours=9 * n), text=text, type=kind)
        for n, text in enumerate(texts)
    ]
    return profile_request(history, history_tokens=HISTORY_TOKENS).messages


def _profile(said: list[tuple[str, str]], chance: random.Random) -> str:
    """What came at least twice, else what came, most often first."""
    places: dict[str, list[int]] = {}
    for number, (_, liked) in enumerate(said, 1):
        places.setdefault(liked, []).append(number)
    again = {liked: numbers for liked, numbers in places.items() if len(numbers) > 1} or places
    ranked = sorted(again.items(), key=lambda item: -len(item[1]))[:5]
    forms = ("Likes {}.", "Keeps coming back to {}.", "Often writes about {}.", "Cares about {}.")
    statements = [
        {
            "kind": StatementKind.INTEREST.value,
            "text": chance.choice(forms).format(liked),
            "interactions": numbers,
        }
        for liked, numbers in ranked
    ]
    return orjson.dumps({"statements": statements}).decode()


def _small_talk(statements: list[str], chance: random.Random) -> Example:
    if chance.random() < 0.5:
        asked, answer = chance.choice(_SMALL_TALK)
        request = chance.choice(asked)
    else:
        what = listed([made_up_word(chance) for _ in range(chance.randint(1, 2))])
        request = chance.choice(_TOO_HARD).format(
            what, a=chance.randint(2, 99), b=chance.randint(2, 99)
        )
        answer = _DOES_NOT_KNOW
    return Example(prompt(request, statements), answer, request)
