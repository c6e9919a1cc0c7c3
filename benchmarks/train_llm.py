"""Does the BUMP reward teach a language model? The whole chain, from nothing, on a CPU.

    python -m benchmarks.train_llm --data ../shared/data --work FOLDER [--seeds 3] [--steps 40]

A model of 0.7 million parameters learns to copy, and then the form of a profile from made-up
people: one half quotes a few of their messages, the other half says what may be said of anybody.
Then GRPO by the BUMP reward, once a seed, as `bump train llm` does it, on people of a support
channel: what a profile is to say is left to the reward. Others, whom nothing was trained on, are
asked about before and after, under the judge that trained and under one that did not. Every stage
is kept in FOLDER and not repeated. Writes a part of `docs/results.md`, which `make results` puts
there.
"""

import argparse
import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import sqrt
from pathlib import Path
from statistics import fmean, variance
from typing import Any

import torch
from peft import PeftModel

from benchmarks import tiny_lm, warm_start
from benchmarks.quality import TRAINING
from examples.bump_mini.batches import copies
from examples.bump_mini.language_model import train_tokenizer
from service.bump.batch import Example
from service.bump.gate import bootstrap_interval
from service.bump.judge import Judge
from service.commands.histories import read_histories
from service.commands.settings import read_settings
from service.domain.interaction import Interaction
from service.evaluation.bidirectional import score_profiles
from service.evaluation.partition import Part, users_of
from service.evaluation.preparation import Batch, prepare
from service.runtime import open_judge
from service.trainer.curves import read_curves
from service.trainer.grpo import train
from service.trainer.llm_config import LlmConfig, parse_config
from service.trainer.llm_rollouts import profile_text, request_messages

Histories = dict[str, list[Interaction]]

SOURCE = "ubuntu_irc"
ANSWER_TOKENS = 256
HELD_OUT = 4
POSTS, MADE_UP_USERS = 20_000, 20_000
COPYING = tiny_lm.Schedule(4_000_000, 4e-3)
WARM_START = tiny_lm.Schedule(4_000_000, 3e-3)
SMOOTHED, ENDS = 5, 10  # steps


@dataclass(frozen=True, slots=True)
class Users:
    """Messages of a support channel by user."""

    training: Histories
    others: Histories


def read_users(data: Path) -> Users:
    found = {
        user: [replace(each, text=warm_start.short(each.text)) for each in history]
        for user, history in read_histories(
            data / "histories" / f"{SOURCE}.jsonl.gz"
        ).histories.items()
    }
    return Users(users_of(Part.TRAINING, SOURCE, found), users_of(Part.EVALUATION, SOURCE, found))


def pretrain(data: Path, folder: Path) -> None:
    """The model that GRPO starts from. It has seen no history of a user, only public posts."""
    posts = tiny_lm.read_posts(data / "lm_text" / "reddit_text.txt.xz", POSTS)
    lines = warm_start.sentences(posts)
    pairs = list(warm_start.pairs_of_writers(lines, MADE_UP_USERS, seed=3))
    texts = (pair.prompt + pair.completion for pair in pairs[:3_000])
    tokenizer = train_tokenizer(chain(posts[:2_000], texts), tiny_lm.VOCABULARY)
    model = tiny_lm.make_model(tokenizer, seed=0)
    folder.mkdir(parents=True, exist_ok=True)
    tiny_lm.fit(
        model,
        copies(len(tokenizer), 1, tiny_lm.COPYING_BLOCKS_A_STEP),
        COPYING,
        folder / "copying.jsonl",
    )
    tiny_lm.fit(
        model, tiny_lm.answer_blocks(tokenizer, pairs, seed=1), WARM_START, folder / "losses.jsonl"
    )
    tiny_lm.save(model, tokenizer, folder)


def configuration(model: Path, steps: int, seed: int) -> LlmConfig:
    return parse_config(
        {
            "policy": {
                "model": str(model),
                "lora_rank": 16,
                "lora_alpha": 32,
                "history_limit": warm_start.HISTORY_LIMIT,
                "history_tokens": warm_start.HISTORY_TOKENS,
                "history_selection": "newest",  # as in its warm start
            },
            "reward": {"held_out": HELD_OUT},
            "judge": {"kind": "lexical"},
            "rollouts": {
                "engine": "transformers",
                "answer_tokens": ANSWER_TOKENS,
                "temperature": 0.8,
            },
            "training": {
                "users": 12,
                "group": 8,
                "steps": steps,
                "micro_batch": 32,
                "learning_rate": 5e-4,
                "precision": "fp32",
                "save_every": 4,
                "seed": seed,
            },
        }
    )


class Writer:
    """The policy as it serves: greedy answers, read as the worker reads them."""

    def __init__(self, model: Path, adapter: Path | None, config: LlmConfig) -> None:
        base, self._tokenizer = tiny_lm.load(model)
        self._model = PeftModel.from_pretrained(base, adapter) if adapter else base
        self._tokenizer.padding_side = "left"
        self._config = config

    def write(self, examples: Sequence[Example]) -> dict[str, str]:
        policy = self._config.policy
        texts = {}
        for start in range(0, len(examples), 32):
            part = examples[start : start + 32]
            prompts = [request_messages(one, policy) for one in part]
            for one, answer in zip(part, self._answers(prompts), strict=True):
                texts[one.user_id] = profile_text(answer, one, policy)
        return texts

    def _answers(self, prompts: Sequence[list[dict[str, str]]]) -> list[str]:
        inputs = self._tokenizer.apply_chat_template(
            list(prompts),
            add_generation_prompt=True,
            padding=True,
            return_tensors="pt",
            return_dict=True,
        )
        with torch.inference_mode():
            ids = self._model.generate(**inputs, max_new_tokens=ANSWER_TOKENS, do_sample=False)
        answers: list[str] = self._tokenizer.batch_decode(
            ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
        )
        return answers


async def totals(batch: Batch, profiles: dict[str, str], judge: Judge) -> list[float]:
    results = await score_profiles(
        batch.examples, batch.negatives, profiles, judge, orders=2, seed=7
    )
    return [result.reward.total for result in results]


def compared(
    batch: Batch, judges: Sequence[Judge], before: dict[str, str], after: dict[str, str]
) -> dict[str, Any]:
    """By judge: the mean reward of the others' profiles before, after, and the difference."""
    found = {}
    for judge in judges:
        first, second = (asyncio.run(totals(batch, texts, judge)) for texts in (before, after))
        gain = bootstrap_interval([b - a for a, b in zip(first, second, strict=True)], seed=7)
        found[judge.name] = {
            "before": round(fmean(first), 4),
            "after": round(fmean(second), 4),
            "gain": {"mean": gain.mean, "low": gain.low, "high": gain.high},
        }
    return found


def running_mean(rows: Sequence[dict[str, Any]]) -> list[list[float]]:
    """The reward of the rollouts by step, each the mean of `SMOOTHED` steps."""
    points = [(row["step"], row["reward"]) for row in rows if "reward" in row]
    return [
        [points[end - 1][0], round(fmean(reward for _, reward in points[end - SMOOTHED : end]), 4)]
        for end in range(SMOOTHED, len(points) + 1)
    ]


def rise(rows: Sequence[dict[str, Any]]) -> str:
    """How far the rollouts' mean reward of the last steps lies above that of the first."""
    rewards = [row["reward"] for row in rows if "reward" in row]
    first, last = rewards[:ENDS], rewards[-ENDS:]
    error = sqrt((variance(first) + variance(last)) / ENDS)
    return f"{fmean(last) - fmean(first):+.3f} (±{1.96 * error:.3f})"


def table(seeds: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """By seed and judge: the mean reward of the others' profiles before and after."""
    rows = [
        [
            f"seed {seed}",
            judge,
            *(f"{found[end]:.3f}" for end in ("before", "after")),
            "{mean:+.3f} [{low:+.3f}, {high:+.3f}]".format(**found["gain"]),
        ]
        for seed, by_judge in seeds.items()
        for judge, found in by_judge.items()
    ]
    return {"columns": ["training", "judge", "before", "after", "gain"], "rows": rows}


def described(curves: dict[int, list[dict[str, Any]]], users: Users, asked: int) -> str:
    rows = [row for found in curves.values() for row in found if "reward" in row]
    seconds = fmean(row["step_time"] for row in rows)
    judge_seconds = fmean(row["bump/judge_seconds"] for row in rows)
    questions = fmean(row["bump/questions"] for row in rows)
    return (
        "A model of 0.7 million parameters, made from nothing on two cores, which copies from its "
        "prompt and knows the form of a profile: half of those it was shown quote, half say what "
        "may be said of anybody. A LoRA of it is trained by GRPO, as `bump train llm` does it, on "
        f"{len(users.training)} users of {SOURCE}, whose messages are cut to what it has seen of "
        "one, under the lexical judge, gapped and time-matched. The curve is the rollouts' mean "
        f"reward over {SMOOTHED} steps, each of other users; the last {ENDS} steps less the first: "
        f"{', '.join(rise(found) for found in curves.values())}. A step took {seconds:.1f} s, "
        f"{judge_seconds:.2f} of them the judge's, for {questions:.0f} questions in one round. "
        f"The table is of the greedy profiles of {asked} other users: means, and the paired gain "
        "with its 95 % interval. The "
        "samples are of made-up people, and the first seed's."
    )


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    users, model = read_users(arguments.data), arguments.work / "model"
    if not (model / "config.json").exists():
        pretrain(arguments.data, model)
    config = configuration(model, arguments.steps, seed=1)
    training, others = (
        prepare(histories, config.reward.setting, seed=7)
        for histories in (users.training, users.others)
    )
    judges = [
        open_judge(name, read_settings(), training.visible_texts())
        for name in ("lexical", "embedding")
    ]
    chance = random.Random(1)
    fictional = [
        Example(person, tuple(warm_start.written(lines, chance)), ())
        for person, lines in warm_start.PEOPLE.items()
    ]
    start = Writer(model, None, config)
    before, first = start.write(others.examples), start.write(fictional)
    curves, seeds, samples = {}, {}, []
    for seed in range(1, arguments.seeds + 1):
        folder = arguments.work / f"seed-{seed}"
        adapter = folder / "adapter"
        if not adapter.exists():
            train(configuration(model, arguments.steps, seed), training.examples, judges[0], folder)
        writer = Writer(model, adapter, config)
        curves[seed] = read_curves(folder)
        seeds[seed] = compared(others, judges, before, writer.write(others.examples))
        if not samples:
            samples = [
                {"of": person, "before": first[person], "after": text}
                for person, text in writer.write(fictional).items()
            ]
        document = {
            "title": "Training a language model",
            "text": described(curves, users, len(others.examples)),
            "table": table(seeds),
            "curves": {f"seed {seed}": running_mean(rows) for seed, rows in curves.items()},
            "samples": samples,
        }
        (TRAINING / "4-llm.json").write_text(json.dumps(document, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
