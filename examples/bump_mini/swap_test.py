"""Does bump-mini use the profile, and only what of it matters? The swap test.

    python -m examples.bump_mini.swap_test --model FOLDER [--users 320] [--json]

Made-up users ask one question each, of a kind and subject that training never saw together. Eight
others of the same tastes in other things stand beside each; the lexical judge is asked whose
profile the reply was made from. So what a reply says of the subject does not give its user away,
only what it says of their own interests. A reply must not give it away by repeating the profile.

In a second, harder test all interests are words that training never saw. That they belong to the
subject is then nowhere to be learnt; the model can only see that the others do not.

Some requests name an occasion and no subject ("I need an idea for the first snow."). Nothing in
them says which of the user's interests matter, so those that do name it are also counted alone.
"""

import argparse
import asyncio
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from examples.bump_mini.acts import ACTS, Act, Scene, Telling
from examples.bump_mini.corpus import Example, prompt
from examples.bump_mini.domains import Domain, domains, kept_apart, unseen
from examples.bump_mini.generation import Answers
from examples.bump_mini.people import Person, Taste, attack, draw_person, profile_of
from service.bump.gate import bootstrap_interval
from service.bump.judge import Direction, Question, ask
from service.bump.ranking import ndcg
from service.judges.lexical import LexicalJudge, words

OTHERS = 8
ANSWER_TOKENS = 120
SEED = 17
_SUBJECTS = ("{topic}", "{person}", "{ask}")


@dataclass(frozen=True, slots=True)
class Case:
    """A request, its user's statements, and those of the others who might have asked it."""

    example: Example
    statements: list[str]
    others: list[list[str]]
    names_subject: bool


def cases(count: int, *, unknown_interests: bool = False) -> list[Case]:
    """Users and requests that training never saw; `unknown_interests`: nor what they like."""
    chance = random.Random(SEED)
    kept = [(act, one) for act in ACTS for one in domains() if kept_apart(act.name, one.name)]
    return [_case(*chance.choice(kept), unknown_interests, chance) for _ in range(count)]


def _case(act: Act, domain: Domain, unknown: bool, chance: random.Random) -> Case:
    liked = chance.sample(unseen(domain) if unknown else domain.seen, 2)
    user = _with_taste(domain, liked, unknown, chance)
    # Each of the others likes something else of the same domain.
    rest = chance.sample([one for one in domain.interests if one not in liked], 2 * OTHERS)
    others = [
        _with_taste(domain, rest[start : start + 2], unknown, chance)
        for start in range(0, len(rest), 2)
    ]
    occasion = chance.choice(domain.occasions)
    form = chance.choice(act.requests)
    request = form.format(
        ask=chance.choice(domain.asks), occasion=occasion, topic=domain.topic, person=domain.person
    )
    statements = profile_of(user, chance)
    scene = Scene(domain, tuple(liked))
    answer = act.reply(Telling(scene, occasion, chance))
    example = Example(prompt(request, statements), answer, request, scene, act, user)
    named = any(field in form for field in _SUBJECTS)
    return Case(example, statements, [profile_of(one, chance) for one in others], named)


def _with_taste(
    domain: Domain, liked: Sequence[str], unknown: bool, chance: random.Random
) -> Person:
    drawn = draw_person(chance, unseen=unknown)
    rest = [taste for taste in drawn.tastes if taste.domain != domain][:2]
    return Person((Taste(domain, tuple(liked), None), *rest))


async def measured(name: str, found: Sequence[Case], replies: Sequence[str]) -> dict[str, Any]:
    """One row: how well replies pick out their profile, and what is wrong with them."""
    texts = ["\n".join(lines) for case in found for lines in (case.statements, *case.others)]
    questions = [
        Question(
            reply,
            tuple("\n".join(lines) for lines in (case.statements, *case.others)),
            Direction.BACKWARD,
            str(number),
        )
        for number, (case, reply) in enumerate(zip(found, replies, strict=True))
    ]
    scores = await ask(LexicalJudge(texts), questions, orders=1, seed=SEED)
    gains = [ndcg(one[0], {0}) for one in scores]
    interval = bootstrap_interval(gains, seed=SEED)
    pairs = list(zip(found, replies, strict=True))
    return {
        "replies": name,
        "ndcg": {"mean": interval.mean, "low": interval.low, "high": interval.high},
        "copied": fmean(copied(reply, case.statements) for case, reply in pairs),
        "irrelevant": fmean(mentions_other(case, reply) for case, reply in pairs),
        "kind": fmean(has_shape(case.example, reply) for case, reply in pairs),
    }


def copied(reply: str, statements: Sequence[str]) -> float:
    """The share of the reply's 4-grams of words that stand in the profile."""
    told = _grams("\n".join(statements))
    said = _grams(reply)
    return sum(gram in told for gram in said) / len(said) if said else 0.0


def _grams(text: str) -> list[tuple[str, ...]]:
    found = text.lower().split()
    return [tuple(found[start : start + 4]) for start in range(len(found) - 3)]


def mentions_other(case: Case, reply: str) -> bool:
    """Whether it mentions an interest of the user that has nothing to do with the request."""
    person, scene = case.example.person, case.example.scene
    assert person and scene
    said, asked = words(reply), words(case.example.request)
    return any(
        all(word in said and word not in asked for word in words(liked))
        for taste in person.tastes
        if taste.domain != scene.domain
        for liked in taste.liked
    )


def has_shape(example: Example, reply: str) -> bool:
    """Whether the reply is of the kind that was asked for."""
    assert example.act
    return bool(example.act.shape.match(reply))


Replier = Callable[[Sequence[Case]], list[str]]


def repliers(answers: Answers) -> dict[str, Replier]:
    chance = random.Random(SEED)

    def asked(statements: Callable[[Case], list[str]]) -> Replier:
        def reply(found: Sequence[Case]) -> list[str]:
            prompts = [prompt(case.example.request, statements(case)) for case in found]
            return answers.of(prompts, ANSWER_TOKENS)

        return reply

    return {
        "bump-mini": asked(lambda case: case.statements),
        "without a profile": asked(lambda case: []),
        "with an attack in the profile": asked(
            lambda case: [*case.statements[:1], attack(chance), *case.statements[1:]]
        ),
        "the corpus itself": lambda found: [case.example.answer for case in found],
        "the profile, verbatim": lambda found: ["\n".join(case.statements) for case in found],
    }


def rows_of(answers: Answers, users: int) -> list[dict[str, Any]]:
    """The table: every replier on the test, and bump-mini alone on the harder one."""
    known, unknown = cases(users), cases(users, unknown_interests=True)
    asked = repliers(answers)
    tests = [(name, reply, known) for name, reply in asked.items()]
    clear = [case for case in known if case.names_subject]
    tests += [
        ("bump-mini, where the request names its subject", asked["bump-mini"], clear),
        ("bump-mini, of interests it never saw", asked["bump-mini"], unknown),
    ]
    return [
        asyncio.run(measured(name, found, reply(found)))
        for name, reply, found in tqdm(tests, desc="swap test")
    ]


def main() -> None:
    arguments = _arguments()
    rows = rows_of(Answers(arguments.model), arguments.users)
    if arguments.json:
        print(json.dumps({"users": arguments.users, "rows": rows}))
        return
    table = Table("replies", "NDCG of the profile", "copied", "irrelevant", "kind asked for")
    for row in rows:
        gain = "{mean:.3f} [{low:.3f}, {high:.3f}]".format(**row["ndcg"])
        table.add_row(
            row["replies"], gain, *(f"{row[n]:.0%}" for n in ("copied", "irrelevant", "kind"))
        )
    Console().print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--users", type=int, default=320)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
