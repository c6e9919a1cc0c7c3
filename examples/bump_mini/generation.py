"""Answers of a model in a folder, by the engine that serves bump-mini."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

from safetensors.numpy import load_file
from tokenizers import Tokenizer

from service.domain.prompts import Message
from service.llm.client import ChatClient, Sampling
from service.llm.local.decoder import Decoder, Shape
from service.llm.local.engine import Engine
from service.llm.local.tokens import ChatTokenizer
from service.llm.local.transport import LOCAL_URL, LocalTransport


class Answers:
    """Greedy answers, many at once."""

    def __init__(self, folder: Path) -> None:
        shape = Shape.of_config(json.loads((folder / "config.json").read_text()))
        self._decoder = Decoder(shape, load_file(folder / "model.safetensors"))
        self._tokenizer = ChatTokenizer(Tokenizer.from_file(str(folder / "tokenizer.json")))

    def of(self, prompts: Sequence[Sequence[Message]], max_tokens: int) -> list[str]:
        return asyncio.run(self._all(prompts, Sampling(max_tokens=max_tokens, temperature=0)))

    async def _all(self, prompts: Sequence[Sequence[Message]], sampling: Sampling) -> list[str]:
        engine = Engine(self._decoder, self._tokenizer.end_of_turn)
        client = ChatClient(
            base_url=LOCAL_URL,
            model="bump-mini",
            api_key=None,
            deadline=3_600,
            transport=LocalTransport("bump-mini", engine, self._tokenizer),
        )
        try:
            found = await asyncio.gather(*(client.complete(one, sampling) for one in prompts))
            return [one.text for one in found]
        finally:
            await client.close()
