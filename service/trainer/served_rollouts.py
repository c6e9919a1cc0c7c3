"""Rollouts from a vLLM server that is given the adapter of every step (TRL's `rollout_func`)."""

import asyncio
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from service.errors import ConfigurationError
from service.trainer.vllm_server import Messages, VllmServer


class ServedRollouts:
    """Samples one answer a prompt from the adapter as it is at this step.

    Every step's adapter is saved to a folder and loaded under a name of its own: vLLM keeps what it
    has computed for a prompt by the adapter's name and path, and would go on using what other
    weights gave. What a killed run has left in `adapters`, and on the server, goes at the start.
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
        self._adapters = adapters.absolute()
        self._answer_tokens = answer_tokens
        self._temperature = temperature
        self._loaded: str | None = None
        run = [uuid4().hex[:8]]
        broadcast_object_list(run)
        self._run = run[0]
        if PartialState().is_main_process and adapters.exists():
            for left in adapters.iterdir():
                self._drop(left.name)

    def __call__(self, prompts: Sequence[Messages], trainer: Any) -> dict[str, Any]:
        adapter = f"policy-{self._run}-{trainer.state.global_step}"
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
        if state.is_main_process:
            folder = self._adapters / adapter
            trainer.accelerator.unwrap_model(trainer.model).save_pretrained(folder)
            self._runner.run(self._server.load_adapter(adapter, folder))
        state.wait_for_everyone()
        if state.is_main_process and self._loaded:
            self._drop(self._loaded)
        self._loaded = adapter

    def _drop(self, adapter: str) -> None:
        # A server that was started again does not know it any more.
        with suppress(ConfigurationError):
            self._runner.run(self._server.unload_adapter(adapter))
        shutil.rmtree(self._adapters / adapter)
