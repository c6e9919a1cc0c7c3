"""A vLLM server from which rollouts are sampled while its adapter is being trained.

It must run with `--enable-lora` and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, and see the folder that
the adapters are saved in.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from service.errors import ConfigurationError
from service.generators.llm import ANSWER_SCHEMA

Messages = Sequence[Mapping[str, str]]

_ATTEMPTS = 3
_AT_ONCE = 256


class RolloutsFailed(Exception):
    """The server gave no rollouts after several attempts. Start it again and resume."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """One sampled answer in the tokens of the policy: of the prompt, and of the answer."""

    prompt_ids: list[int]
    answer_ids: list[int]


class VllmServer:
    """One server by its OpenAI-compatible `base_url`. Adapters come and go by name.

    `timeout` and `pause` in seconds: of one request, and before a failed one is sent again.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout: float,
        pause: float = 1.0,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._pause = pause
        self._http = httpx2.AsyncClient(
            base_url=base_url.rstrip("/"),
            timeout=httpx2.Timeout(timeout, connect=5.0, pool=timeout),
            limits=httpx2.Limits(max_connections=_AT_ONCE),
            transport=transport,
            trust_env=False,
        )

    async def load_adapter(self, name: str, folder: Path) -> None:
        """Raises ConfigurationError when the server may not load adapters, or cannot find it."""
        await self._post("/load_lora_adapter", {"lora_name": name, "lora_path": str(folder)})

    async def unload_adapter(self, name: str) -> None:
        await self._post("/unload_lora_adapter", {"lora_name": name})

    async def sample(
        self,
        adapter: str,
        prompts: Sequence[Messages],
        *,
        max_tokens: int,
        temperature: float,
    ) -> list[Sampled]:
        """One answer to each of `prompts` (chat messages), as JSON of the answer schema.

        All are asked for at once. Raises RolloutsFailed.
        """
        options = {
            "model": adapter,
            "max_tokens": max_tokens,
            "temperature": temperature,
            "return_token_ids": True,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": True, "schema": ANSWER_SCHEMA},
            },
        }
        answers = await asyncio.gather(
            *(
                self._post("/chat/completions", {**options, "messages": list(prompt)})
                for prompt in prompts
            )
        )
        return [_sampled(answer) for answer in answers]

    async def close(self) -> None:
        await self._http.aclose()

    async def _post(self, path: str, body: Mapping[str, Any]) -> httpx2.Response:
        reason = ""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                response = await self._http.post(path, json=body)
            except httpx2.TransportError as error:
                reason = type(error).__name__
            else:
                if response.is_success:
                    return response
                reason = f"status {response.status_code}: {response.text[:200]}"
                if response.is_client_error:
                    raise ConfigurationError(
                        f"The vLLM server refused {path} ({reason}). It needs --enable-lora, a "
                        "--max-lora-rank that fits, VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, and "
                        "sight of the folder of the adapters."
                    )
            if attempt < _ATTEMPTS:
                await asyncio.sleep(self._pause * attempt)
        raise RolloutsFailed(f"The vLLM server failed {path} {_ATTEMPTS} times ({reason}).")


def _sampled(response: httpx2.Response) -> Sampled:
    document = response.json()
    return Sampled(document["prompt_token_ids"], document["choices"][0]["token_ids"])
