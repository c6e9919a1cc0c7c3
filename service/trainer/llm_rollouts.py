"""Rollouts of an LLM policy: the prompt that the worker sends too, and what an answer says."""

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate import PartialState

from service.bump.batch import Example
from service.domain.interaction import Interaction, history_order
from service.domain.profile import render_text
from service.domain.prompts import profile_request
from service.generators.llm import UnusableAnswer, read_answer
from service.trainer.vllm_server import VllmServer

Messages = Sequence[Mapping[str, str]]


def request_messages(
    example: Example, *, history_limit: int, history_tokens: int
) -> list[dict[str, str]]:
    """The messages that ask for a profile of what is visible, as the worker's would be."""
    history = _read(example, history_limit)
    messages = profile_request(history, history_tokens=history_tokens)
    return [{"role": message.role, "content": message.content} for message in messages]


def profile_text(answer: str, example: Example, *, history_limit: int) -> str:
    """The profile that `answer` stands for: its supported statements, a line each.

    All of them, however long: where the worker cuts at a budget, training lets the length penalty
    teach to keep to it. An answer that cannot be read is an empty profile, which earns chance.
    """
    try:
        return render_text(read_answer(answer, _read(example, history_limit)))
    except UnusableAnswer:
        return ""


def _read(example: Example, history_limit: int) -> list[Interaction]:
    return sorted(example.visible, key=history_order)[-history_limit:]


class HttpRollouts:
    """TRL's `rollout_func`: samples from a vLLM server that holds the adapter of the step.

    Every step's adapter is saved to a folder and loaded under a name of its own: vLLM keeps what it
    has computed for a prompt by the adapter's name and path, and would go on using what the
    weights of the step before gave.
    """

    def __init__(
        self,
        server: VllmServer,
        runner: asyncio.Runner,
        adapters: Path,
        *,
        answer_tokens: int,
        temperature: float,
    ) -> None:
        self._server = server
        self._runner = runner
        self._adapters = adapters
        self._answer_tokens = answer_tokens
        self._temperature = temperature
        self._loaded: str | None = None

    def __call__(self, prompts: Sequence[Messages], trainer: Any) -> dict[str, Any]:
        adapter = f"policy-{trainer.state.global_step}"
        if adapter != self._loaded:
            self._load(adapter, trainer)
        sampled = self._runner.run(
            self._server.sample(
                adapter,
                prompts,
                max_tokens=self._answer_tokens,
                temperature=self._temperature,
            )
        )
        return {
            "prompt_ids": [one.prompt_ids for one in sampled],
            "completion_ids": [one.answer_ids for one in sampled],
            "logprobs": None,  # one update a step: the trainer's own are those of the sampler
        }

    async def close(self) -> None:
        await self._server.close()

    def _load(self, adapter: str, trainer: Any) -> None:
        state = PartialState()
        folder = self._adapters.absolute() / adapter
        if state.is_main_process:
            trainer.accelerator.unwrap_model(trainer.model).save_pretrained(folder)
            self._runner.run(self._server.load_adapter(adapter, folder))
        state.wait_for_everyone()
        if state.is_main_process and self._loaded:
            self._runner.run(self._server.unload_adapter(self._loaded))
            shutil.rmtree(self._adapters / self._loaded, ignore_errors=True)
        self._loaded = adapter
