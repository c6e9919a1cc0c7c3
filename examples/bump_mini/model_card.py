"""Measures a model and writes its card: what it cannot do, how well it does, 30 of its replies.

    python -m examples.bump_mini.model_card --model FOLDER

The words are `model_card.md`'s; figures and replies are filled in, the replies as they come. How
they are to be read is written below them by whoever releases the model.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from examples.bump_mini.corpus import prompt
from examples.bump_mini.generation import Answers
from examples.bump_mini.perplexity import perplexities
from examples.bump_mini.swap_test import ANSWER_TOKENS, Case, cases, rows_of

TEMPLATE = Path(__file__).with_name("model_card.md")
USERS = 320
SHOWN = 30


def main() -> None:
    folder: Path = _arguments().model
    answers = Answers(folder)
    rows = []
    for row in rows_of(answers, USERS):
        gain = "{mean:.3f} [{low:.3f}, {high:.3f}]".format(**row["ndcg"])
        shares = (f"{row[figure]:.0%}" for figure in ("copied", "irrelevant", "kind"))
        rows.append(f"| {' | '.join((row['replies'], gain, *shares))} |")
    told = (f"| {kind} | {value:.2f} |" for kind, value in perplexities(folder).items())
    card = TEMPLATE.read_text().format(
        users=USERS,
        swap_test="\n".join(rows),
        perplexities="\n".join(told),
        shown=SHOWN,
        samples="\n".join(_samples(cases(SHOWN), answers)),
    )
    (folder / "README.md").write_text(card)


def _samples(found: Sequence[Case], answers: Answers) -> list[str]:
    prompts = [prompt(case.example.request, case.statements) for case in found]
    return [
        _sample(number, case, reply)
        for number, (case, reply) in enumerate(
            zip(found, answers.of(prompts, ANSWER_TOKENS), strict=True), 1
        )
    ]


def _sample(number: int, case: Case, reply: str) -> str:
    scene = case.example.scene
    liked = ", ".join(scene.liked) if scene else ""
    return (
        f"{number}. *{case.example.request}* (of it likes: {liked}; "
        f"{len(case.statements)} statements)\n\n"
        f"   {reply.replace(chr(10), ' / ')}\n"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
