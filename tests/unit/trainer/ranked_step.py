"""Scores one step as one of several processes, and writes what it got: `torchrun … FOLDER`."""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

from accelerate import PartialState

from service.bump.judge import Question, Scores
from service.judges.lexical import LexicalJudge
from service.trainer.grpo import BumpReward
from service.trainer.llm_config import parse_config
from tests.unit.trainer.test_rewarding import EXAMPLES, HOBBIES

GROUP = 4
# An odd number: the cut between two processes goes through the middle one's group.
USERS = HOBBIES[:5]
CONFIG = parse_config({"rollouts": {"engine": "transformers"}, "reward": {"negatives": 3}})


class CountingJudge(LexicalJudge):
    rounds = 0

    async def score(self, questions: Sequence[Question]) -> list[Scores]:
        self.rounds += 1
        if os.environ.get("JUDGE") == "fails":
            raise TimeoutError("no answer")
        return await super().score(questions)


def answer(hobby: str, rollout: int) -> str:
    """Four profiles of a user: good, good but for one other hobby, useless, and no JSON."""
    text = (f"Is into {hobby}.", f"Is into {hobby} or chess.", "Is into nothing.")
    if rollout == len(text):
        return "I would say"
    statement = {"kind": "interest", "text": text[rollout], "interactions": [1]}
    return json.dumps({"statements": [statement]})


def main(folder: Path) -> None:
    state = PartialState(cpu=True)
    step = [(hobby, answer(hobby, number)) for hobby in USERS for number in range(GROUP)]
    size = len(step) // state.num_processes
    own = step[state.process_index * size :][:size]
    judge = CountingJudge(i.text for one in EXAMPLES for i in one.visible)
    told: dict[str, object] = {"rounds": 0}
    with asyncio.Runner() as runner:
        try:
            told["rewards"] = BumpReward(EXAMPLES[:5], judge, CONFIG, runner)(
                completions=[[{"role": "assistant", "content": text}] for _, text in own],
                user_id=[user for user, _ in own],
                trainer_state=SimpleNamespace(global_step=3),
                log_metric=told.__setitem__,
            )
        except Exception as error:
            told["error"] = f"{type(error).__name__}: {error}"
    told["rounds"] = judge.rounds
    (folder / f"{state.process_index}-of-{state.num_processes}.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
