"""The worked example of docs/concepts.md: four users, three profiles of one of them, every number.

    python examples/bump_in_numbers.py

A test runs it and holds the page to what it prints.
"""

import asyncio
from datetime import UTC, datetime, timedelta

from service.bump.batch import Example, Negatives
from service.bump.judge import Question, Scores
from service.bump.questions import profile_questions, profile_reward
from service.bump.ranking import chance, gain
from service.bump.reward import Reward, advantages, length_penalty
from service.domain.interaction import Interaction
from service.domain.tokens import estimate_tokens
from service.judges.lexical import LexicalJudge

# What the generator may read. It also says how rare a word is.
VISIBLE = {
    "ada": ("Easy run in hilly woods", "Plan for a 50 km race?", "Calf tight again"),
    "ben": ("Sourdough with less salt", "Gluten-free dinner for four", "Which flour for bread?"),
    "carla": ("Spanish verbs after work", "Quiet night on the ward", "How to say pain?"),
    "dana": ("First road marathon", "Intervals on the track", "Shoes for a spring race?"),
}
# What happened next, and no generator reads.
HELD_OUT = ("Long run uphill, the calf held", "What should one eat before the race?")
OTHERS_HELD_OUT = {
    "ben": "Bread with better crumb, gluten-free",
    "carla": "After the night shift: Spanish verbs",
    "dana": "How to pace the spring road race?",
}
OTHERS_PROFILES = {
    "ben": "Bakes sourdough bread. Cooks gluten-free for four.",
    "carla": "Learns Spanish. Works night shifts on a ward.",
    "dana": "Runs on roads. Trains for a spring race.",
}
PROFILES = {
    "specific": "Runs hilly trails. Prepares her 50 km race. Her calf gets tight.",
    "half": "Prepares her race.",
    "vague": "Writes short messages.",
}


def main() -> None:
    judge = LexicalJudge(text for texts in VISIBLE.values() for text in texts)
    asked = {name: questions(profile) for name, profile in PROFILES.items()}
    answers = {name: asyncio.run(judge.score(found)) for name, found in asked.items()}
    show_forward(asked["specific"][0], answers["specific"][0])
    for question, scores in zip(asked["specific"][1:], answers["specific"][1:], strict=True):
        show_backward(question, scores)
    show_rewards({name: reward(PROFILES[name], found) for name, found in answers.items()})
    show_constants()


def questions(profile: str) -> list[Question]:
    example = Example("ada", interactions(VISIBLE["ada"]), interactions(HELD_OUT))
    others = tuple(OTHERS_PROFILES)
    negatives = Negatives(interactions(tuple(OTHERS_HELD_OUT.values())), others)
    return profile_questions(example, negatives, profile, tuple(OTHERS_PROFILES.values()))


def interactions(texts: tuple[str, ...]) -> tuple[Interaction, ...]:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    return tuple(
        Interaction(str(day), start + timedelta(days=day), text) for day, text in enumerate(texts)
    )


def reward(profile: str, answers: list[Scores]) -> Reward:
    return profile_reward([[s] for s in answers], len(HELD_OUT), estimate_tokens(profile))


def show_forward(question: Question, scores: Scores) -> None:
    print("Forward: the specific profile ranks")
    owners = ("ada", "ada", *OTHERS_HELD_OUT)
    show_ranked(question.candidates, owners, scores)


def show_backward(question: Question, scores: Scores) -> None:
    print(f"\nBackward: “{question.query}” ranks the profiles of")
    owners = ("ada", *OTHERS_PROFILES)
    show_ranked(("",) * len(owners), owners, scores)


def show_ranked(texts: tuple[str, ...], owners: tuple[str, ...], scores: Scores) -> None:
    for place in sorted(range(len(texts)), key=lambda place: -scores[place]):
        print(f"  {scores[place]:5.2f}  {owners[place]:<6} {texts[place]}".rstrip())


def show_rewards(rewards: dict[str, Reward]) -> None:
    learnt = advantages([found.total for found in rewards.values()])
    assert learnt is not None
    print("\nprofile   forward  backward  length   total  advantage")
    for (name, found), advantage in zip(rewards.items(), learnt, strict=True):
        parts = f"{found.forward:7.3f}  {found.backward:8.3f}  {found.length:6.3f}"
        print(f"{name:<9} {parts}  {found.total:6.3f}  {advantage:+9.2f}")


def show_constants() -> None:
    forward, backward = chance(5, 2), chance(4, 1)
    print(f"chance    {forward:7.3f}  {backward:8.3f}          {forward + backward:6.3f}")
    print("\ngain by rank:", " ".join(f"{gain(rank):.3f}" for rank in range(1, 6)))
    penalties = (f"{tokens}: {length_penalty(tokens):.3f}" for tokens in (160, 200, 240, 320))
    print("length penalty by tokens:", ", ".join(penalties))


if __name__ == "__main__":
    main()
