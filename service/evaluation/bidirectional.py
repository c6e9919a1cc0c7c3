"""BUMP rewards of profiles over many users: forward, backward, length, and what else is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.bump.batch import Example, Negatives
from service.bump.judge import Judge, ask
from service.bump.questions import own_above_stranger, profile_questions, profile_reward
from service.bump.reward import Reward
from service.domain.tokens import estimate_tokens
from service.evaluation.metrics import copy_rate


@dataclass(frozen=True, slots=True)
class UserResult:
    """One user's profile under one judge. `auc`, `copy_rate`: 0 to 1."""

    user_id: str
    reward: Reward
    auc: float
    copy_rate: float
    tokens: int


async def score_profiles(
    examples: Sequence[Example],
    negatives: Mapping[str, Negatives],
    profiles: Mapping[str, str],
    judge: Judge,
    *,
    orders: int,
    seed: int,
) -> list[UserResult]:
    """The reward of every user's profile text, asked of the judge in one round.

    `negatives` and `profiles` are by user id; the profiles of one generator stand against one
    another. Raises what the judge raises.
    """
    questions = [
        profile_questions(example, negatives[example.user_id], profiles[example.user_id], others)
        for example in examples
        for others in [[profiles[user] for user in negatives[example.user_id].users]]
    ]
    answers = iter(
        await ask(judge, [q for asked in questions for q in asked], orders=orders, seed=seed)
    )
    results = []
    for example, asked in zip(examples, questions, strict=True):
        found = [next(answers) for _ in asked]
        text = profiles[example.user_id]
        tokens = estimate_tokens(text)
        results.append(
            UserResult(
                user_id=example.user_id,
                reward=profile_reward(found, len(example.held_out), tokens),
                auc=own_above_stranger(found),
                copy_rate=copy_rate(text, [interaction.text for interaction in example.visible]),
                tokens=tokens,
            )
        )
    return results
