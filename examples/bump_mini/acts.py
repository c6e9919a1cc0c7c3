"""The kinds of requests that the corpus knows: how people ask, and what a good reply is like.

A reply is made from a domain's phrases. Where the person likes something of the domain, the reply
is built around that; where they do not, or nothing is known of them, it is good for anybody. The
`shape` of a kind is a pattern that its replies match and those of most others do not.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from examples.bump_mini.domains import Domain


@dataclass(frozen=True, slots=True)
class Scene:
    """What a request is about. `liked`: the person's interests in the domain, strongest first.

    `heed`: how a reply heeds what limits them ("which two hobs can do"), or "".
    """

    domain: Domain
    liked: tuple[str, ...] = ()
    heed: str = ""


@dataclass(frozen=True, slots=True)
class Act:
    name: str
    requests: tuple[str, ...]
    reply: Callable[["Telling"], str]
    shape: re.Pattern[str]
    open_requests: tuple[str, ...] = ()  # which name no subject, but a `{when}`


TIMES = (
    "this weekend",
    "tonight",
    "tomorrow",
    "on Sunday",
    "this afternoon",
    "on my day off",
    "this week",
    "in the holidays",
    "today",
)


class Telling:
    """Draws phrases for one reply: each at most once, around what the person likes if anything."""

    def __init__(self, scene: Scene, occasion: str, chance: random.Random) -> None:
        self.domain = scene.domain
        self.occasion = occasion
        self.heed = f", {scene.heed}" if scene.heed else ""
        self._chance = chance
        self._liked = list(scene.liked)
        self._told: set[str] = set()

    @property
    def is_personal(self) -> bool:
        return bool(self._liked)

    def pick(self, phrases: Sequence[str]) -> str:
        left = [phrase for phrase in phrases if phrase not in self._told] or list(phrases)
        chosen = self._chance.choice(left)
        self._told.add(chosen)
        return chosen

    def around(self, phrases: Sequence[str], plain: Sequence[str]) -> str:
        """One of `phrases` with what they like, in turn; else one of `plain`."""
        if not self._liked:
            return self.pick(plain)
        liked = self._liked.pop(0)
        self._liked.append(liked)
        return self.pick(phrases).replace("{x}", liked)

    def idea(self) -> str:
        return self.around(self.domain.ideas, self.domain.plain_ideas)

    def plain_idea(self) -> str:
        return self.pick(self.domain.plain_ideas)

    def tip(self) -> str:
        return self.pick(self.domain.tips)

    def own_tip(self) -> str:
        return self.around(self.domain.x_tips, self.domain.tips)

    def step(self) -> str:
        return self.pick(self.domain.steps)

    def own_step(self) -> str:
        return self.around(self.domain.x_steps, self.domain.steps)


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def titled(text: str) -> str:
    small = {"a", "an", "and", "at", "for", "in", "of", "on", "the", "to", "with"}
    return " ".join(word if word in small else word[:1].upper() + word[1:] for word in text.split())


def _suggest(tell: Telling) -> str:
    opening = tell.pick(
        ("Try {}", "How about {}", "Go for {}", "I would go for {}", "What about {}")
    )
    end = "?" if opening.startswith(("How", "What")) else "."
    return f"{opening.format(tell.idea() + tell.heed)}{end} {sentence(tell.tip())}"


def _three_ideas(tell: Telling) -> str:
    ideas = [tell.idea() + tell.heed, tell.plain_idea(), tell.idea()]
    return "\n".join(f"{number}. {sentence(idea)}" for number, idea in enumerate(ideas, 1))


def _plan(tell: Telling) -> str:
    return (
        f"First, {tell.step()}. Then {tell.own_step()}. After that, {tell.step()}. "
        f"Finally, {tell.step()}."
    )


def _week(tell: Telling) -> str:
    return (
        f"Monday: {tell.step()}.\nWednesday: {tell.own_step()}.\n"
        f"Saturday: {tell.idea()}{tell.heed}."
    )


def _invitation(tell: Telling) -> str:
    when = tell.pick(("by Friday", "by tomorrow", "this week", "by Sunday evening"))
    return (
        f"Hi all, I am planning {tell.idea()} for {tell.occasion}{tell.heed}. "
        f"Who is in? Please tell me {when}."
    )


def _wish(tell: Telling) -> str:
    if tell.is_personal:
        return f"Wish for {tell.idea()}. It is a gift because {_reason(tell)}."
    return f"Wish for {tell.idea()}. It is a gift for any {tell.domain.person}."


def _reason(tell: Telling) -> str:
    return tell.around(tell.domain.reasons, ["it suits everybody"])


def _quiz(tell: Telling) -> str:
    plain = (
        f"What made you start with {tell.domain.topic}?",
        f"What do you like most about {tell.domain.topic}?",
        f"What would you like to try next in {tell.domain.topic}?",
        f"Who first showed you {tell.domain.topic}?",
    )
    return "Here is one: " + tell.around(tell.domain.questions, plain)


def _improve(tell: Telling) -> str:
    beginning = f"Start small: {tell.own_tip()}. Next, {tell.tip()}."
    return f"{beginning} Once that feels easy, {tell.own_tip()}."


def _pitfalls(tell: Telling) -> str:
    first, second = tell.pick(tell.domain.avoid), tell.pick(tell.domain.avoid)
    return f"Avoid {first} and {second}. Instead, {tell.own_tip()}."


def _encourage(tell: Telling) -> str:
    cheer = tell.pick(
        (
            f"That happens to every {tell.domain.person}.",
            "Do not worry, a pause does no harm.",
            "You have not lost it, it is only resting.",
            "It comes back, and mostly faster than you think.",
        )
    )
    return (
        f"{cheer} Make it small today: {tell.own_step()}, and stop there. Tomorrow, {tell.tip()}."
    )


def _name(tell: Telling) -> str:
    kind = tell.pick(("Notes", "Diary", "Notebook", "Corner", "Club", "Letters"))
    about = tell.around(["{x}"], [tell.domain.topic])
    return f"Call it The {titled(about)} {kind}. It is short, and it says what it is about."


def _short_of_time(tell: Telling) -> str:
    return f"In the time you have, {tell.own_step()}, then {tell.step()}. Leave the rest for later."


def _checklist(tell: Telling) -> str:
    items = [tell.step(), tell.own_step(), tell.step()]
    return "\n".join(f"- {item}" for item in items)


def _one_sentence(tell: Telling) -> str:
    return f"In one sentence: {tell.idea()}{tell.heed}."


def _beginner(tell: Telling) -> str:
    return f"Tell them to begin with {tell.idea()}{tell.heed}, to {tell.tip()}, and to enjoy it."


def _postcard(tell: Telling) -> str:
    return f"Dear you, today was all about {tell.idea()}. I only had to {tell.step()}. More soon!"


ACTS = (
    Act(
        "suggest",
        (
            "{ask}",
            "{ask}",
            "Suggest something for {occasion}.",
            "I need an idea for {occasion}.",
            "What would you do in {topic} next?",
            "Give me one idea about {topic}.",
            "Any suggestion for {occasion}?",
        ),
        _suggest,
        re.compile(r"^(Try|How about|Go for|I would go for|What about) [^\n]+[.?] [A-Z][^\n]+\.$"),
        (
            "What should I do {when}?",
            "What could I do {when}?",
            "Suggest something for me to do {when}.",
            "I am free {when}. Any idea?",
            "I have nothing to do {when}.",
            "Any ideas for {when}?",
        ),
    ),
    Act(
        "three ideas",
        (
            "Give me three ideas for {occasion}.",
            "List three ideas about {topic}.",
            "Three ideas please: {ask}",
            "I would like three suggestions for {topic}.",
        ),
        _three_ideas,
        re.compile(r"^1\. .+\n2\. .+\n3\. .+\.$"),
        ("Give me three ideas for {when}.", "Three things that I could do {when}, please."),
    ),
    Act(
        "plan",
        (
            "Make me a plan for {occasion}.",
            "Plan {occasion} for me.",
            "How should I go about {occasion}?",
            "Plan some {topic} with me, step by step.",
        ),
        _plan,
        re.compile(r"^First, .+ Then .+ After that, .+ Finally, .+\.$"),
        ("Plan something for me {when}.", "I am free {when}: make me a plan."),
    ),
    Act(
        "week",
        (
            "Make me a week of {topic}.",
            "What could a week of {topic} look like?",
            "Plan my week around {topic}.",
            "A schedule for this week, please: {topic}.",
        ),
        _week,
        re.compile(r"^Monday: .+\nWednesday: .+\nSaturday: .+\.$"),
    ),
    Act(
        "invitation",
        (
            "Write an invitation for {occasion}.",
            "Invite my friends to {occasion}.",
            "Draft a message that invites people to {occasion}.",
            "Help me invite some friends: {occasion}.",
        ),
        _invitation,
        re.compile(r"^Hi all, I am planning .+ Who is in\? Please tell me .+\.$"),
    ),
    Act(
        "wish",
        (
            "What could I wish for as a {person}?",
            "My birthday is coming. What should I ask for, as a {person}?",
            "A gift for a {person} like me?",
            "They ask what I want for my birthday. Something with {topic}?",
        ),
        _wish,
        re.compile(r"^Wish for .+ It is a gift (because|for) .+\.$"),
    ),
    Act(
        "question",
        (
            "Ask me something about {topic}.",
            "Give me a question to think about in {topic}.",
            "Interview me about {topic}, one question.",
            "Ask me one thing as a {person}.",
        ),
        _quiz,
        re.compile(r"^Here is one: .+\?$"),
    ),
    Act(
        "improve",
        (
            "How do I get better at {topic}?",
            "I want to improve at {topic}.",
            "What should I practise in {topic}?",
            "How does a {person} get better?",
        ),
        _improve,
        re.compile(r"^Start small: .+ Next, .+ Once that feels easy, .+\.$"),
    ),
    Act(
        "pitfalls",
        (
            "What should I avoid in {topic}?",
            "Which mistakes do people make in {topic}?",
            "What goes wrong for a {person}?",
            "Warn me before {occasion}.",
        ),
        _pitfalls,
        re.compile(r"^Avoid .+ and .+\. Instead, .+\.$"),
    ),
    Act(
        "encourage",
        (
            "I have lost my drive for {topic}.",
            "I do not enjoy {topic} at the moment.",
            "Cheer me up, I am a tired {person}.",
            "I feel like giving up {topic}.",
        ),
        _encourage,
        re.compile(r"^[A-Z].+ Make it small today: .+, and stop there\. Tomorrow, .+\.$"),
    ),
    Act(
        "name",
        (
            "I need a name for a blog about {topic}.",
            "How shall I call my group for {topic}?",
            "Find a title for my notes on {topic}.",
            "A name for a channel by a {person}?",
        ),
        _name,
        re.compile(r"^Call it The .+ (Notes|Diary|Notebook|Corner|Club|Letters)\. It is short.+$"),
    ),
    Act(
        "short of time",
        (
            "I have only twenty minutes for {topic}.",
            "There is half an hour left for {topic} today. What now?",
            "No time: what is worth doing in {topic}?",
            "Only a little time before {occasion}. What do I do?",
        ),
        _short_of_time,
        re.compile(r"^In the time you have, .+, then .+\. Leave the rest for later\.$"),
    ),
    Act(
        "checklist",
        (
            "Give me a checklist for {occasion}.",
            "What do I have to do before {occasion}? As a list.",
            "A checklist for {topic}, please.",
            "List what to prepare for {occasion}.",
        ),
        _checklist,
        re.compile(r"^- .+\n- .+\n- .+$"),
    ),
    Act(
        "one sentence",
        (
            "In one sentence: {ask}",
            "{ask} Answer in one sentence.",
            "One sentence, please: what for {occasion}?",
            "Keep it to a sentence: an idea about {topic}.",
        ),
        _one_sentence,
        re.compile(r"^In one sentence: [^.]+\.$"),
        ("In one sentence: what should I do {when}?", "What to do {when}? One sentence, please."),
    ),
    Act(
        "beginner",
        (
            "A friend wants to start with {topic}. What do I tell them?",
            "How do I get a friend into {topic}?",
            "What would you tell somebody who is new to {topic}?",
            "I am to show a beginner {topic}.",
        ),
        _beginner,
        re.compile(r"^Tell them to begin with .+, to .+, and to enjoy it\.$"),
    ),
    Act(
        "postcard",
        (
            "Write a postcard about {topic}.",
            "Write two lines home about {occasion}.",
            "Draft a postcard: today was {topic}.",
            "A short note to my aunt about {topic}, please.",
        ),
        _postcard,
        re.compile(r"^Dear you, today was all about .+ More soon!$"),
    ),
)
