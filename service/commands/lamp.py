"""`bump lamp`: LaMP as published, for any OpenAI-compatible model and any writer of profiles."""

import re
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import orjson

from service import __version__
from service.bump.batch import BatchTooSmall
from service.bump.judge import JudgeFailed
from service.bump.ranking import chance
from service.commands.lamp_plan import (
    Plan,
    Request,
    asking,
    described_model,
    make_plan,
    messages_for,
)
from service.commands.lamp_profiles import ByUser, Profiles
from service.commands.lamp_reading import Data, read_data
from service.commands.progress import counted
from service.config import Settings
from service.errors import ConfigurationError
from service.evaluation.bidirectional import UserResult
from service.evaluation.lamp import label_free
from service.evaluation.lamp.answering import Answers, Model, ModelUnavailable
from service.evaluation.lamp.journal import Journal
from service.evaluation.lamp.local_methods import FROM_PROFILES, local_methods
from service.evaluation.lamp.ratings import without_last
from service.evaluation.lamp.reading import UnreadableData
from service.evaluation.lamp.report import (
    Scored,
    best_floor,
    less_is_better,
    primary,
    profile_row,
    rows,
    scored,
)
from service.evaluation.resuming import code_digest
from service.evaluation.scoring import NoProfiles
from service.runtime import open_chat, open_judge

_NONE = "none"
_SHOWN_PROBLEMS = 20
# What an answer depends on is in its key: a folder serves any number of runs.
_ANSWERS, _RESULTS = "answers.jsonl", "results.json"
_UNSAFE_IN_NAME = re.compile(r"[^\w.+-]+")


async def lamp(settings: Settings, request: Request) -> dict[str, Any]:
    """The document that `--json` prints; it is also `results.json` in the output folder.

    Raises ConfigurationError for files that cannot be scored, methods that are none, and a model
    that answers nothing.
    """
    data = read(request)
    plan = make_plan(request, data)
    try:
        async with AsyncExitStack() as stack:
            return await _Run(settings, request, data, plan, stack).document()
    except (ModelUnavailable, NoProfiles, JudgeFailed, UnreadableData, ValueError) as error:
        raise ConfigurationError(str(error)) from error


def read(request: Request) -> Data:
    """Raises ConfigurationError."""
    return read_data(
        request.folder,
        request.task,
        request.split,
        request.separation,
        limit=request.limit,
        seed=request.seed,
    )


class _Run:
    """One run, phase by phase: profiles, answers, BUMP's numbers, rows."""

    def __init__(
        self, settings: Settings, request: Request, data: Data, plan: Plan, stack: AsyncExitStack
    ) -> None:
        self._settings, self._request, self._data, self._plan = settings, request, data, plan
        self._stack = stack
        self._profiles = Profiles(settings, request, data, stack)
        self._model: dict[str, Any] | None = None

    async def document(self) -> dict[str, Any]:
        written = await self._profiles.of(self._plan)
        found = [*await self._local(written), *await self._asked(written)]
        bump = await self._bump(written) if written else {}
        document = self._described() | self._rows(found, written, bump)
        self._write(document, found)
        return document

    async def _local(self, written: Mapping[str, ByUser]) -> list[Scored]:
        cut = [without_last(sample) for sample in self._data.samples]
        earlier = {
            source: await self._profiles.by(source, cut)
            for name, source in FROM_PROFILES.items()
            if name in self._plan.local
        }
        methods = local_methods(self._data.task, self._data.samples, written, earlier)
        found = []
        with counted("Without a model", len(self._plan.local)) as advance:
            for name in self._plan.local:
                answers = Answers(methods[name](), {})
                found.append(self._scored(name, FROM_PROFILES.get(name), answers, written))
                advance(1)
        return found

    async def _asked(self, written: Mapping[str, ByUser]) -> list[Scored]:
        if not self._plan.asked:
            return []
        chat = open_chat(self._settings)
        self._stack.push_async_callback(chat.client.close)
        put = asking(self._data.task, chat, self._settings, self._request)
        journal = Journal(self._request.output / _ANSWERS)
        model = Model(chat.client, put.sampling, journal, self._request.at_once)
        self._model = described_model(chat, put)
        found = []
        for method in self._plan.asked:
            profiles = written.get(method.source or "", {})
            with counted(f"Answers: {method.name}", len(self._data.samples)) as advance:
                answers = await model.answer(
                    method.name,
                    self._data.samples,
                    partial(messages_for, put, method, profiles),
                    advance,
                )
            found.append(self._scored(method.name, method.source, answers, written))
        return found

    def _scored(
        self, name: str, source: str | None, answers: Answers, written: Mapping[str, ByUser]
    ) -> Scored:
        """With an empty answer for every sample that could not be asked."""
        texts = {**answers.texts, **dict.fromkeys(self._data.unanswerable, "")}
        whole = Answers(
            texts, answers.failures, answers.cut, answers.prompt_tokens, answers.answer_tokens
        )
        missing = len(self._data.samples) - len(written[source]) if source else 0
        return scored(name, source, whole, self._data.golds, without_profile=missing)

    async def _bump(self, written: Mapping[str, ByUser]) -> dict[str, dict[str, list[UserResult]]]:
        """By judge and source; an empty profile is there as well. Nothing where too few users
        differ."""
        try:
            asked = label_free.questions(
                self._data.task, self._data.samples, seed=self._request.seed
            )
        except BatchTooSmall:
            return {}
        texts = [i.text for example in asked.examples for i in example.visible]
        found: dict[str, dict[str, list[UserResult]]] = {}
        for name in self._plan.judges:
            judge = open_judge(name, self._settings, texts)
            self._stack.push_async_callback(judge.close)
            found[name] = {}
            with counted(f"BUMP: {name}", len(written) + 1) as advance:
                for source, profiles in {_NONE: {}, **written}.items():
                    found[name][source] = await label_free.score(
                        asked, profiles, judge, seed=self._request.seed
                    )
                    advance(1)
        return found

    def _rows(
        self,
        found: Sequence[Scored],
        written: Mapping[str, ByUser],
        bump: Mapping[str, Mapping[str, Sequence[UserResult]]],
    ) -> dict[str, Any]:
        task, seed = self._data.task, self._request.seed
        floor = best_floor(task, found)
        chances = chance(1 + label_free.NEGATIVES, 1)
        return {
            "best_floor": floor,
            "rows": rows(task, found, [name for name in (floor, _NONE) if name], seed=seed),
            "profiles": [
                profile_row(
                    source,
                    judge,
                    results,
                    without_profile=len(self._data.samples) - len(written.get(source, {})),
                    seed=seed,
                )
                for judge, by_source in bump.items()
                for source, results in by_source.items()
            ],
            "chance": {"forward": chances, "backward": chances, "total": 2 * chances},
            "correlations": label_free.correlations(
                task, found, bump, [*self._data.golds], self._plan.asked, seed=seed
            ),
        }

    def _described(self) -> dict[str, Any]:
        data, request = self._data, self._request
        return {
            "task": data.task.name,
            "folder": request.folder.name,
            "split": request.split,
            "separation": request.separation,
            "samples": len(data.golds),
            "unanswerable": len(data.unanswerable),
            "problems": len(data.problems),
            "first_problems": [str(problem) for problem in data.problems[:_SHOWN_PROBLEMS]],
            "metric": primary(data.task),
            "less_is_better": less_is_better(data.task),
            "model": self._model,
            "without_model": list(self._plan.local),
            "writers": self._profiles.writers,
            "seed": request.seed,
            "limit": request.limit,
            "versions": {"bump": __version__, "code": code_digest()},
        }

    def _write(self, document: Mapping[str, Any], found: Sequence[Scored]) -> None:
        """The results, and every method's answers as LaMP's own evaluator takes them."""
        folder = self._request.output / "predictions"
        folder.mkdir(parents=True, exist_ok=True)
        for one in found:
            golds = [{"id": key, "output": text} for key, text in one.answers.texts.items()]
            path = folder / f"{_UNSAFE_IN_NAME.sub('_', one.method)}.json"
            path.write_bytes(orjson.dumps({"task": self._data.task.name, "golds": golds}))
        path = self._request.output / _RESULTS
        path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
