"""The samples of one method, asked of one model: bounded, resumable, failures counted."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from statistics import fmean

from service.domain.prompts import Message
from service.errors import DownstreamError
from service.evaluation.lamp.journal import Document, Journal, digest
from service.evaluation.lamp.tasks import Sample
from service.evaluation.scoring import Advance
from service.generators.llm import Chat
from service.llm.client import Completion, Sampling

# An endpoint that fails as often before its first answer is down.
_GIVE_UP_AFTER = 24


class ModelUnavailable(Exception):
    """The endpoint answered nothing at all."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What came of one method. `texts` has every sample, "" where the endpoint failed.

    `failures`: how often, by reason. `cut`: answers that ended at the token limit. Tokens are
    means as the endpoint counts them; None where it does not.
    """

    texts: Mapping[str, str]
    failures: Mapping[str, int]
    cut: int = 0
    prompt_tokens: float | None = None
    answer_tokens: float | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """A model behind an endpoint, of which at most `at_once` answers are asked at the same time.

    Its answers are kept in `journal` by what was asked: messages, model and sampling. One that
    failed is not kept: the next run asks again.
    """

    client: Chat
    sampling: Sampling
    journal: Journal
    at_once: int

    async def answer(
        self,
        method: str,
        samples: Sequence[Sample],
        messages_of: Callable[[Sample], Sequence[Message]],
        advance: Advance,
    ) -> Answers:
        """Raises ModelUnavailable when the first calls all fail."""
        free = asyncio.Semaphore(self.at_once)
        kept: dict[str, Document] = {}
        failures: Counter[str] = Counter()

        async def answer(sample: Sample) -> None:
            async with free:
                messages = await asyncio.to_thread(messages_of, sample)
                key = digest(self.client.model, self.sampling, [m.to_json() for m in messages])
                document = self.journal.get(key)
                if document is None:
                    try:
                        completion = await self.client.complete(messages, self.sampling)
                    except DownstreamError as error:
                        failures[error.detail] += 1
                        _give_up_if_down(kept, failures)
                    else:
                        document = _document(method, sample, completion)
                        self.journal.add(key, document)
                if document is not None:
                    kept[sample.sample_id] = document
            advance(1)

        try:
            async with asyncio.TaskGroup() as group:
                for sample in samples:
                    group.create_task(answer(sample))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        if samples and not kept:
            raise ModelUnavailable(_said(failures))
        return _answers(samples, kept, failures)


def _give_up_if_down(kept: Mapping[str, Document], failures: Counter[str]) -> None:
    if not kept and failures.total() >= _GIVE_UP_AFTER:
        raise ModelUnavailable(_said(failures))


def _said(failures: Counter[str]) -> str:
    ((reason, _),) = failures.most_common(1)
    return f"The model answered none of {failures.total()} questions: {reason}"


def _document(method: str, sample: Sample, completion: Completion) -> Document:
    return {
        "method": method,
        "id": sample.sample_id,
        "text": completion.text,
        "finish_reason": completion.finish_reason,
        "usage": asdict(completion.usage) if completion.usage else None,
    }


def _answers(
    samples: Sequence[Sample], kept: Mapping[str, Document], failures: Mapping[str, int]
) -> Answers:
    usages = [document["usage"] for document in kept.values() if document["usage"]]
    mean = partial(_mean, usages)
    return Answers(
        texts={
            sample.sample_id: kept[sample.sample_id]["text"] if sample.sample_id in kept else ""
            for sample in samples
        },
        failures=dict(failures),
        cut=sum(document["finish_reason"] == "length" for document in kept.values()),
        prompt_tokens=mean("prompt_tokens"),
        answer_tokens=mean("completion_tokens"),
    )


def _mean(usages: Sequence[Mapping[str, int]], name: str) -> float | None:
    return fmean(usage[name] for usage in usages) if usages else None
