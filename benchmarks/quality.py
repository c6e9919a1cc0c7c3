"""How good the profiles are, over five sets of real histories: `make results`.

Measures every generator on the evaluation users of each set (nobody trained on them), writes
`benchmarks/quality.json`, and from it and `benchmarks/training/*.json` the page `docs/results.md`
with its plots, and the README's table. `--page-only` writes both from what was measured before.

The histories are not part of the project; `--histories` names their folder.
"""

import argparse
import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import quality_page
from benchmarks.marked import write_between
from service import __version__
from service.bump.setting import Setting
from service.commands.comparison import GENERATORS, compare_generators
from service.commands.histories import read_histories
from service.commands.settings import read_settings
from service.evaluation.partition import Part, users_of
from service.evaluation.preparation import Histories
from service.evaluation.resuming import code_digest
from service.telemetry import configure_logging

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("quality.json")
TRAINING = Path(__file__).with_name("training")
SETS = ("acl_papers", "git_commits", "movielens_small", "reddit_communities", "ubuntu_irc")
JUDGES = ("lexical", "embedding")
SEED = 7
START, END = "<!-- quality: made by `make results` -->", "<!-- end of the quality -->"
# By the name that the page shows; the first is the primary one.
SETTINGS = {
    "primary": Setting(),
    "no gap, random others": Setting(gap=0, time_matched=False),
    "one held out": Setting(held_out=1),
    "BUMP+": Setting(hard=True),
}


def main() -> None:
    arguments = _arguments()
    if not arguments.page_only:
        configure_logging("error", "results")
        generators = [*GENERATORS, *filter(None, arguments.also.split(","))]
        settings = {name: SETTINGS[name] for name in arguments.settings.split(",")}
        found = asyncio.run(measure(arguments.histories, generators, settings, arguments.resume))
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    training = [json.loads(path.read_text()) for path in sorted(TRAINING.glob("*.json"))]
    measured = json.loads(RESULTS.read_text())
    page = quality_page.write(measured, training, ROOT / "docs")
    write_between(ROOT / "README.md", START, quality_page.summary(measured), END)
    Console(stderr=True).print(f"Wrote {page}.")


async def measure(
    folder: Path,
    generators: Sequence[str],
    asked: Mapping[str, Setting],
    resume: Path | None,
) -> dict[str, Any]:
    """By the name of the setting, what `compare_generators` gives, and where it comes from."""
    sets = {name: evaluation_users(folder / f"{name}.jsonl.gz") for name in SETS}
    found = {
        name: await compare_generators(
            sets,
            generators,
            JUDGES,
            setting=setting,
            settings=read_settings(),
            seed=SEED,
            resume=resume,
        )
        for name, setting in asked.items()
    }
    versions = {"bump": __version__, "code": code_digest()}
    return {"settings": found, "seed": SEED, "versions": versions}


def evaluation_users(path: Path) -> Histories:
    """Of a file such as acl_papers.jsonl.gz; its name without endings is the source."""
    source = path.name.partition(".")[0]
    return users_of(Part.EVALUATION, source, read_histories(path).histories)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--histories", type=Path, default=ROOT.parent / "shared" / "data" / "histories"
    )
    parser.add_argument("--also", default="", help="comma list of more generators, such as llm")
    parser.add_argument(
        "--settings", default=",".join(SETTINGS), help="comma list of the settings to measure in"
    )
    parser.add_argument("--resume", type=Path, help="keep what is finished here, and go on from it")
    parser.add_argument("--page-only", action="store_true", help="measure nothing anew")
    return parser.parse_args()


if __name__ == "__main__":
    main()
