"""`bump lamp --write-demonstrations`: what a downstream model may be taught, from the train split.

The prompts are those that `bump lamp` asks, made by the same code of the same settings.
"""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from service import __version__
from service.commands.lamp_plan import (
    Plan,
    Request,
    asking,
    described_model,
    make_plan,
    messages_for,
)
from service.commands.lamp_profiles import Profiles
from service.commands.lamp_reading import Data, read_data
from service.config import Settings
from service.errors import ConfigurationError
from service.evaluation.lamp import demonstrations
from service.evaluation.lamp.demonstrations import Demonstration
from service.evaluation.lamp.journal import digest
from service.evaluation.lamp.methods import Method
from service.evaluation.lamp.reading import Questions, Split, UnreadableData, find_files
from service.evaluation.lamp.tasks import Sample, Task
from service.evaluation.resuming import code_digest
from service.evaluation.scoring import NoProfiles
from service.runtime import open_chat

_EVALUATED = (Split.DEV, Split.TEST)


def read_taught(request: Request) -> Data:
    """The train split, of which nothing is in a split that is evaluated.

    Raises ConfigurationError for another split, for anything but one method that asks a model, for
    samples that are in both splits, and where no other split is at hand to tell.
    """
    if request.split is not Split.TRAIN:
        raise ConfigurationError(
            "Only the train split may be taught, its golds are not evaluated: add --split train."
        )
    data = read_data(
        request.folder,
        request.task,
        request.split,
        request.separation,
        limit=request.limit,
        seed=request.seed,
    )
    _plan(request, data)
    try:
        shared = _also_evaluated(request, data)
    except UnreadableData as error:
        raise ConfigurationError(str(error)) from error
    if shared:
        raise ConfigurationError(
            f"{len(shared)} samples of the train split are evaluated as well, such as "
            f"{min(shared)}: a model must not be taught the golds that it is measured by."
        )
    return data


async def write_demonstrations(settings: Settings, request: Request, data: Data, path: Path) -> int:
    """How many. Raises ConfigurationError for what cannot be asked, written or saved."""
    plan, method = _plan(request, data)
    try:
        async with AsyncExitStack() as stack:
            chat = open_chat(settings)
            stack.push_async_callback(chat.client.close)
            put = asking(data.task, chat, settings, request)
            profiles = Profiles(settings, request, data, stack)
            shown = (await profiles.of(plan)).get(method.source or "", {})
            origin = {
                **_described(request, data, method),
                "model": described_model(chat, put),
                "writers": profiles.writers,
                "without_profile": len(data.samples) - len(shown) if method.source else 0,
            }
            rows = (
                Demonstration(
                    sample.sample_id,
                    messages_for(put, method, shown, sample),
                    # Answers are compared after a strip.
                    data.golds[sample.sample_id].strip(),
                )
                for sample in data.samples
            )
            return demonstrations.write(path, origin, rows)
    except (NoProfiles, UnreadableData, ValueError, OSError) as error:
        raise ConfigurationError(str(error)) from error


def _plan(request: Request, data: Data) -> tuple[Plan, Method]:
    plan = make_plan(request, data)
    if len(plan.asked) != 1 or plan.local:
        raise ConfigurationError(
            "Demonstrations are of one method that asks a model: name it, as in --methods llm."
        )
    return plan, plan.asked[0]


def _described(request: Request, data: Data, method: Method) -> dict[str, Any]:
    return {
        "task": data.task.name,
        "split": request.split,
        "separation": request.separation,
        "method": method.name,
        "seed": request.seed,
        "limit": request.limit,
        "problems": len(data.problems),
        "versions": {"bump": __version__, "code": code_digest()},
    }


def _also_evaluated(request: Request, data: Data) -> set[str]:
    """Ids of samples that another split holds too: by that id, or asked of the same history."""
    asked = {_asked(sample): sample.sample_id for sample in data.samples}
    ids = set(data.golds)
    shared: set[str] = set()
    for sample in _evaluated(request, data.task):
        if sample.sample_id in ids:
            shared.add(sample.sample_id)
        if taught := asked.get(_asked(sample)):
            shared.add(taught)
    return shared


def _evaluated(request: Request, task: Task) -> Iterator[Sample]:
    found = False
    for split in _EVALUATED:
        try:
            files = find_files(request.folder, task, split, request.separation)
        except UnreadableData:
            continue
        found = True
        yield from Questions(files.questions, task)
    if not found:
        raise UnreadableData(
            f"There is neither dev_questions.json nor test_questions.json of {task.name} beside "
            "the train split: what is evaluated must be known, so that it is not taught."
        )


def _asked(sample: Sample) -> str:
    return digest(sample.input, [(entry.event_id, entry.text) for entry in sample.history])
