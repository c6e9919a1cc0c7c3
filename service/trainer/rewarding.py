"""The BUMP reward of one training step: all rollouts of all its users, in one round of the judge.

For any policy, and without torch. A step goes like this:

    negatives = draw_negatives(examples, count=…, seed=seed + step, …, spare=True)
    rollouts = [Rollout(example.user_id, text) for … G texts of every user …]
    rewards = await reward_rollouts(examples, negatives, rollouts, judge, orders=2, seed=…)
    rewards.totals   # one a rollout, in their order: a number, or None for what was not judged
    rewards.means()  # forward, backward, length, … for the curves

The negatives are drawn once per user, so that the rollouts of a group differ in nothing but their
text. For the backward direction every other user stands with one fixed profile, their first
rollout of the step.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import fmean
from time import perf_counter

import structlog

from service.bump.batch import Example, Negatives
from service.bump.judge import Judge, Question, Scores, ask
from service.bump.questions import profile_questions, profile_reward
from service.bump.reward import TARGET_TOKENS, Reward
from service.domain.tokens import estimate_tokens

log = structlog.get_logger()

Answers = list[list[Scores]]


class JudgeUnavailable(Exception):
    """The judge answered for none of a step's users: there is nothing to learn from."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """One sampled profile. `text` is what readers of the profile would see, not its JSON."""

    user_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Terms:
    """Which parts of the reward count. All are measured and logged whatever counts."""

    forward: bool = True
    backward: bool = True
    length: bool = True

    def total(self, reward: Reward) -> float:
        return (
            self.forward * reward.forward
            + self.backward * reward.backward
            - self.length * reward.length
        )


@dataclass(frozen=True, slots=True)
class StepRewards:
    """What the rollouts of a step earned, in their order; None for what could not be judged.

    None is not 0: it teaches nothing, where 0 would teach that the profile was bad.
    """

    rewards: tuple[Reward | None, ...]
    totals: tuple[float | None, ...]
    tokens: tuple[int, ...]
    questions: int
    judge_seconds: float

    def means(self) -> dict[str, float]:
        """Means over the judged rollouts, and what the step cost, by name of the curve."""
        judged = [reward for reward in self.rewards if reward is not None]
        totals = [total for total in self.totals if total is not None]
        return {
            "reward": fmean(totals),
            "forward": fmean(reward.forward for reward in judged),
            "backward": fmean(reward.backward for reward in judged),
            "length": fmean(reward.length for reward in judged),
            "tokens": fmean(self.tokens),
            "unjudged": float(len(self.rewards) - len(judged)),
            "questions": float(self.questions),
            "judge_seconds": self.judge_seconds,
        }


async def reward_rollouts(
    examples: Sequence[Example],
    negatives: Mapping[str, Negatives],
    rollouts: Sequence[Rollout],
    judge: Judge,
    *,
    orders: int,
    seed: int,
    standing: Mapping[str, str] | None = None,
    terms: Terms | None = None,
    target_tokens: int = TARGET_TOKENS,
) -> StepRewards:
    """The rewards of `rollouts`; those of a user without `negatives` are not judged.

    `standing` are the profiles that others are asked beside, by user id, for every user named in
    `negatives`; without it each user's first rollout stands, so all must have one in the step.
    Lengths are `estimate_tokens`, the budget that serving and evaluation go by, so that the
    reward means the same for every policy and tokenizer. When the judge fails, users are asked
    about once more, one by one, and who fails again is not judged. Raises JudgeUnavailable when
    that leaves nobody.
    """
    terms = terms or Terms()
    by_user = {example.user_id: example for example in examples}
    if standing is None:
        standing = {rollout.user_id: rollout.text for rollout in reversed(rollouts)}
    places = [at for at, rollout in enumerate(rollouts) if rollout.user_id in negatives]
    asked = {at: _questions(rollouts[at], by_user, negatives, standing) for at in places}
    started = perf_counter()
    answers = await _answers(judge, asked, rollouts, orders, seed)
    seconds = perf_counter() - started
    tokens = tuple(estimate_tokens(rollout.text) for rollout in rollouts)
    rewards = tuple(
        profile_reward(
            answers[at],
            len(by_user[rollout.user_id].held_out),
            tokens[at],
            target_tokens=target_tokens,
        )
        if at in answers
        else None
        for at, rollout in enumerate(rollouts)
    )
    return StepRewards(
        rewards=rewards,
        totals=tuple(None if reward is None else terms.total(reward) for reward in rewards),
        tokens=tokens,
        questions=sum(len(questions) for questions in asked.values()),
        judge_seconds=seconds,
    )


def _questions(
    rollout: Rollout,
    by_user: Mapping[str, Example],
    negatives: Mapping[str, Negatives],
    standing: Mapping[str, str],
) -> list[Question]:
    own = negatives[rollout.user_id]
    others = [standing[user_id] for user_id in own.users]
    return profile_questions(by_user[rollout.user_id], own, rollout.text, others)


async def _answers(
    judge: Judge,
    asked: Mapping[int, list[Question]],
    rollouts: Sequence[Rollout],
    orders: int,
    seed: int,
) -> dict[int, Answers]:
    """The answers by place of the rollout; whom the judge fails is missing."""
    try:
        return await _ask(judge, asked, orders, seed)
    except Exception as error:
        # Whatever the judge trips over, an endpoint or one text, must not cost the others' rewards.
        log.warning("judge_failed", error=type(error).__name__)
    groups: dict[str, dict[int, list[Question]]] = {}
    for at, questions in asked.items():
        groups.setdefault(rollouts[at].user_id, {})[at] = questions
    found = await asyncio.gather(
        *(_ask(judge, group, orders, seed) for group in groups.values()), return_exceptions=True
    )
    failures = [one for one in found if isinstance(one, BaseException)]
    if len(failures) == len(found):
        raise JudgeUnavailable(
            f"The judge {judge.name} failed for every user of the step "
            f"({type(failures[0]).__name__}: {failures[0]}). Start it again and resume."
        ) from failures[0]
    log.warning("users_unjudged", users=len(failures))
    return {at: answer for one in found if isinstance(one, dict) for at, answer in one.items()}


async def _ask(
    judge: Judge, asked: Mapping[int, list[Question]], orders: int, seed: int
) -> dict[int, Answers]:
    every = list(chain.from_iterable(asked.values()))
    answers = iter(await ask(judge, every, orders=orders, seed=seed))
    return {at: [next(answers) for _ in questions] for at, questions in asked.items()}
