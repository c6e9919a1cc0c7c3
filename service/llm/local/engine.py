"""Keeps all open answers going: one step of the model gives each of them a token.

Steps are computed in a thread of their own, one after another, so that the event loop stays free.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import structlog

from service.llm.local.decoder import Floats
from service.llm.local.sampling import Sampler

log = structlog.get_logger()

_MAX_BATCH = 32
# Of prompts in a step, so that a long one does not hold up everybody's next token.
_PROMPT_TOKENS_IN_A_STEP = 512


class GenerationFailed(Exception):
    """The model broke off; the log says why."""


class LanguageModel(Protocol):
    """A `Decoder`, or another model that remembers a sequence in a cache of its own kind."""

    context: int

    def start(self) -> Any: ...

    def logits(self, sequences: Sequence[tuple[Any, Sequence[int]]], /) -> Floats: ...


@dataclass(slots=True, eq=False)
class _Sequence:
    cache: Any
    sampler: Sampler
    left: int
    waiting: list[int]  # tokens that the model has not seen
    tokens: asyncio.Queue[int | GenerationFailed] = field(default_factory=asyncio.Queue)


class Engine:
    """Answers of one model, at most 32 at once; others wait their turn."""

    def __init__(self, model: LanguageModel, end_of_turn: int) -> None:
        self.context = model.context
        self._model = model
        self._end_of_turn = end_of_turn
        self._open: list[_Sequence] = []
        self._stepping: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "local-model")

    async def tokens(
        self, prompt: Sequence[int], max_tokens: int, sampler: Sampler
    ) -> AsyncGenerator[int, None]:
        """At most `max_tokens` tokens, the end of the turn included where it comes.

        Prompt and answer must fit into `context`. Closing the iterator ends the answer.
        Raises GenerationFailed.
        """
        sequence = _Sequence(self._model.start(), sampler, max_tokens, list(prompt))
        self._open.append(sequence)
        if self._stepping is None:
            self._stepping = asyncio.create_task(self._run())
        try:
            while sequence.left:
                token = await sequence.tokens.get()
                if isinstance(token, GenerationFailed):
                    raise token
                yield token
                if token == self._end_of_turn:
                    return
        finally:
            if sequence in self._open:
                self._open.remove(sequence)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while batch := self._open[:_MAX_BATCH]:
                picked = await loop.run_in_executor(self._thread, self._step, batch)
                for sequence, token in picked:
                    self._hand_over(sequence, token)
        except Exception as error:  # whatever it is, who waits must hear of it
            log.exception("local_model_failed")
            for sequence in self._open:
                sequence.tokens.put_nowait(GenerationFailed(type(error).__name__))
            self._open.clear()
        finally:
            self._stepping = None

    def _step(self, batch: Sequence[_Sequence]) -> list[tuple[_Sequence, int]]:
        """One pass through the model: the next token of all whose prompt has been read."""
        room = _PROMPT_TOKENS_IN_A_STEP
        taken: list[tuple[_Sequence, list[int]]] = []
        for sequence in batch:
            reading = len(sequence.waiting) > 1
            part = sequence.waiting[:room] if reading else sequence.waiting
            if part:
                taken.append((sequence, part))
                room -= len(part) if reading else 0
        logits = self._model.logits([(one.cache, part) for one, part in taken])
        picked = []
        for (sequence, part), row in zip(taken, logits, strict=True):
            sequence.waiting = sequence.waiting[len(part) :]
            if not sequence.waiting:
                picked.append((sequence, sequence.sampler.pick(row)))
        return picked

    def _hand_over(self, sequence: _Sequence, token: int) -> None:
        sequence.waiting = [token]
        sequence.left -= 1
        sequence.tokens.put_nowait(token)
        if (not sequence.left or token == self._end_of_turn) and sequence in self._open:
            self._open.remove(sequence)


def seeded(temperature: float, top_p: float, seed: int | None) -> Sampler:
    return Sampler(temperature, top_p, np.random.default_rng(seed))
