"""LaMP on real files: `python -m benchmarks.lamp`.

Runs every method that needs no language model on the three tasks at hand, and with `--model` and
`--url` those that ask one too; writes `benchmarks/lamp.json`, and from it the page `docs/lamp.md`
with its plots. A run that was stopped goes on from `--work`. `--page-only` writes the page anew
from what was measured before. The data is not part of the project; `--data` names its folder.
"""

import argparse
import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import lamp_page
from service.bump.gate import bootstrap_interval
from service.commands.lamp import lamp, read
from service.commands.lamp_plan import ALL, LOCAL, Request
from service.commands.settings import read_settings
from service.config import Settings
from service.evaluation.lamp.ratings import errors_within_histories
from service.evaluation.lamp.tasks import Kind
from service.telemetry import configure_logging

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("lamp.json")
FOLDERS = ("LaMP_3_ratings", "LaMP_5_acl", "LaMP_7")
PROFILES = "extractive,extractive-trained,stranger,keywords,last-items"
SEED = 0


def main() -> None:
    arguments = _arguments()
    if not arguments.page_only:
        configure_logging("error", "lamp")
        measured = asyncio.run(measure(arguments))
        RESULTS.write_text(json.dumps(measured, indent=1) + "\n")
    page = lamp_page.write(json.loads(RESULTS.read_text()), ROOT / "docs")
    Console(stderr=True).print(f"Wrote {page}.")


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """By folder, what `bump lamp --json` gives; ratings within histories beside it."""
    named = {"downstream_url": arguments.url, "downstream_model": arguments.model}
    settings = read_settings().model_copy(update={k: v for k, v in named.items() if v})
    methods = arguments.methods or (ALL if settings.downstream_url else LOCAL)
    found = {}
    for name in arguments.folders.split(","):
        request = Request(
            folder=arguments.data / name,
            output=arguments.work / name,
            methods=methods,
            profiles=PROFILES,
            judges=arguments.judges,
            limit=arguments.limit,
            seed=SEED,
        )
        found[name] = await measured(settings, request)
    return found


async def measured(settings: Settings, request: Request) -> dict[str, Any]:
    document = await lamp(settings, request)
    data = read(request)
    if data.task.kind is not Kind.RATING:
        return document
    errors = errors_within_histories(data.task, data.samples).values()
    ours, medians = zip(*errors, strict=True)
    differences = [one - other for one, other in errors]
    within = {"history-ratings": ours, "user-median": medians, "difference": differences}
    return document | {
        "within_histories": {
            name: asdict(bootstrap_interval(values, seed=SEED)) for name, values in within.items()
        }
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "lamp")
    parser.add_argument("--work", type=Path, required=True, help="profiles, answers, predictions")
    parser.add_argument("--folders", default=",".join(FOLDERS), help="comma list")
    parser.add_argument("--judges", default="lexical,embedding", help="comma list")
    parser.add_argument(
        "--url", help="an OpenAI-compatible server, or local: and a model of transformers"
    )
    parser.add_argument("--model", help="the model to ask")
    parser.add_argument("--methods", help="else all where there is a model, and local without")
    parser.add_argument("--limit", type=int, help="at most so many samples of each")
    parser.add_argument("--page-only", action="store_true", help="measure nothing anew")
    return parser.parse_args()


if __name__ == "__main__":
    main()
