"""bump-mini's profiles before and after GRPO by the BUMP reward, on a CPU.

    python -m benchmarks.train_bump_mini --work FOLDER [--steps 20]

It has learnt the form of a profile from made-up people, and to say what comes at least twice. A
LoRA of it is trained, as `bump train llm` does it, on other made-up people under the lexical judge;
then people whose interests neither training has seen are asked about, before and after, under that
judge and under one that did not train. What is in FOLDER is not repeated. Writes a part of
`docs/results.md`, which `make results` puts there.
"""

import argparse
import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from benchmarks.quality import TRAINING
from benchmarks.train_llm import SMOOTHED, Histories, Writer, compared, running_mean, table
from examples.bump_mini.corpus import HISTORY_TOKENS
from examples.bump_mini.people import draw_person
from service.commands.settings import read_settings
from service.domain.interaction import Interaction
from service.evaluation.preparation import prepare
from service.llm.local.mini import FILES
from service.runtime import open_judge
from service.trainer.curves import read_curves
from service.trainer.grpo import train
from service.trainer.llm_config import LlmConfig, parse_config

TRAINED_PEOPLE, ASKED_PEOPLE = 300, 200
INTERACTIONS = 22
SEED = 1
SHOWN = 3
_START = datetime(2024, 1, 1, tzinfo=UTC)


def people(count: int, seed: int, *, unseen: bool) -> Histories:
    """Made-up histories: messages about what somebody likes, most about what they like best."""
    chance = random.Random(seed)
    found = {}
    for number in range(count):
        tastes = draw_person(chance, unseen=unseen).tastes
        said = []
        for _ in range(INTERACTIONS):
            taste = tastes[min(chance.randrange(len(tastes)), chance.randrange(len(tastes)))]
            said.append(chance.choice(taste.domain.messages).format(x=chance.choice(taste.liked)))
        start = _START + timedelta(minutes=chance.randrange(500_000))
        found[f"person-{number:03}"] = [
            Interaction(f"{place:02}", start + timedelta(hours=7 * place), text, type="message")
            for place, text in enumerate(said)
        ]
    return found


def configuration(model: Path, steps: int) -> LlmConfig:
    return parse_config(
        {
            "policy": {
                "model": str(model),
                "lora_rank": 16,
                "lora_alpha": 32,
                "history_limit": INTERACTIONS,
                "history_tokens": HISTORY_TOKENS,  # as in its corpus
                "history_selection": "newest",
            },
            "reward": {"held_out": 4},
            "judge": {"kind": "lexical"},
            "rollouts": {"engine": "transformers", "answer_tokens": 256, "temperature": 0.8},
            "training": {
                "users": 12,
                "group": 8,
                "steps": steps,
                "micro_batch": 32,
                "learning_rate": 2e-4,
                "precision": "fp32",
                "save_every": 4,
                "seed": SEED,
            },
        }
    )


def described(rows: list[dict[str, Any]], asked: int) -> str:
    seconds = fmean(row["step_time"] for row in rows if "step_time" in row)
    return (
        "bump-mini, the model of 4.6 million parameters that Bump ships, has learnt from made-up "
        "people to write a profile of what comes at least twice. A LoRA of it is trained by GRPO "
        f"on {TRAINED_PEOPLE} other made-up people under the lexical judge, gapped and "
        f"time-matched; a step took {seconds:.0f} s on one core. The curve is the rollouts' mean "
        f"reward over {SMOOTHED} steps, the table of the greedy profiles of {asked} people whose "
        "interests neither training had seen, with the paired gain and its 95 % interval."
    )


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    config = configuration(arguments.model, arguments.steps)
    training, others = (
        prepare(people(count, seed, unseen=unseen), config.reward.setting, seed=7)
        for count, seed, unseen in ((TRAINED_PEOPLE, 1, False), (ASKED_PEOPLE, 2, True))
    )
    judges = [
        open_judge(name, read_settings(), training.visible_texts())
        for name in ("lexical", "embedding")
    ]
    before = Writer(arguments.model, None, config).write(others.examples)
    folder: Path = arguments.work / f"seed-{SEED}"
    if not (folder / "adapter").exists():
        train(config, training.examples, judges[0], folder)
    after = Writer(arguments.model, folder / "adapter", config).write(others.examples)
    rows = read_curves(folder)
    document = {
        "title": "Training bump-mini",
        "text": described(rows, len(others.examples)),
        "table": table({SEED: compared(others, judges, before, after)}),
        "curves": {f"seed {SEED}": running_mean(rows)},
        "samples": [
            {"of": one.user_id, "before": before[one.user_id], "after": after[one.user_id]}
            for one in others.examples[:SHOWN]
        ],
    }
    (TRAINING / "6-bump-mini.json").write_text(json.dumps(document, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=FILES)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
