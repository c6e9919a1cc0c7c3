"""What a judge is asked about one profile, and what its answers are worth."""

from collections.abc import Sequence
from math import fsum
from statistics import fmean

from service.bump.batch import Example, Negatives
from service.bump.judge import Direction, Question, Scores
from service.bump.reward import (
    TARGET_TOKENS,
    Reward,
    backward_reward,
    forward_reward,
    length_penalty,
)


def profile_questions(
    example: Example, negatives: Negatives, profile: str, others: Sequence[str]
) -> list[Question]:
    """The forward question, then a backward one for each held-out interaction.

    `others` are the profiles of `negatives.users`. The right candidates come first everywhere:
    judges that see the order are asked over shuffles (`judge.ask`).
    """
    held_out = tuple(interaction.text for interaction in example.held_out)
    strangers = tuple(interaction.text for interaction in negatives.interactions)
    profiles = (profile, *others)
    return [
        Question(profile, held_out + strangers, Direction.FORWARD, group=example.user_id),
        *(Question(text, profiles, Direction.BACKWARD, group=example.user_id) for text in held_out),
    ]


def profile_reward(
    answers: Sequence[Sequence[Scores]],
    held_out: int,
    tokens: int,
    *,
    target_tokens: int = TARGET_TOKENS,
) -> Reward:
    """The reward for a profile of `tokens`, from the answers to its `profile_questions`."""
    forward, *backward = answers
    return Reward(
        forward=forward_reward(forward, held_out),
        backward=backward_reward(backward),
        length=length_penalty(tokens, target=target_tokens),
    )


def own_above_stranger(answers: Sequence[Sequence[Scores]]) -> float:
    """AUC: how often the user's own profile scores above a stranger's; ties count half.

    From the answers to `profile_questions`: a profile's score is its sum over all held-out
    interactions and orders, for one interaction alone says little about a user.
    """
    backward = [scores for orders in answers[1:] for scores in orders]
    own, *strangers = (fsum(scores) for scores in zip(*backward, strict=True))
    return fmean((own > stranger) + (own == stranger) / 2 for stranger in strangers)
