"""bump-mini in numpy against transformers on the same weights, each in a process of its own.

Both answer the same requests, prompts included, greedily and on one core. Needs transformers and
torch beside the service: `make install-train`.

    python -m benchmarks.local_model numpy|transformers    one side, as JSON
"""

import asyncio
import json
import os
import random
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from time import perf_counter

from benchmarks.measurement import Measurement, Target
from benchmarks.stack import Stack
from examples.bump_mini.corpus import personal
from service.domain.prompts import Message
from service.llm.client import ChatClient, Sampling
from service.llm.local import BUMP_MINI, LOCAL_URL, open_local
from service.llm.local.mini import FILES

REQUESTS = 40
AT_ONCE = 8
ANSWER_TOKENS = 120
CORE = 0
# The target says one stream on one core; the model has to be there within the start of an API.
SPEED = Target("value", ">=", 150)
LOADED = Target("value", "<=", 2)


@dataclass(frozen=True, slots=True)
class Side:
    """Seconds until the first answer could begin, tokens a second, and peak memory in MiB."""

    load: float
    alone: float
    together: float
    memory: float


async def measure(_: Stack) -> list[Measurement]:
    own = _measured_alone("numpy")
    peer = _measured_alone("transformers") if find_spec("transformers") else own
    said = f"transformers: {peer.alone:.0f} alone, {peer.together:.0f} tokens/s together"
    if peer is own:
        said = "transformers is not installed here"
    return [
        Measurement("local_model_alone", own.alone, "tokens/s", peer.alone, SPEED, said),
        Measurement("local_model_8_at_once", own.together, "tokens/s", own.alone),
        Measurement("local_model_load", own.load, "s", peer.load, LOADED),
        Measurement("local_model_memory", own.memory, "MiB", peer.memory),
    ]


def _measured_alone(side: str) -> Side:
    one_thread = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    found = subprocess.run(
        [sys.executable, "-m", "benchmarks.local_model", side],
        env={**os.environ, **one_thread},
        check=True,
        capture_output=True,
    )
    return Side(**json.loads(found.stdout))


def requests() -> list[tuple[Message, ...]]:
    chance = random.Random(23)
    return [personal(chance).messages for _ in range(REQUESTS)]


async def numpy_side() -> Side:
    started = perf_counter()
    local = open_local(BUMP_MINI)
    load = perf_counter() - started
    client = ChatClient(
        base_url=LOCAL_URL,
        model=BUMP_MINI,
        api_key=None,
        deadline=600,
        transport=local.transport,
    )
    sampling = Sampling(max_tokens=ANSWER_TOKENS, temperature=0)

    async def answered(prompts: Sequence[Sequence[Message]]) -> int:
        found = await asyncio.gather(*(client.complete(one, sampling) for one in prompts))
        return sum(one.usage.completion_tokens for one in found if one.usage)

    asked = requests()
    await answered(asked[:1])
    speeds = []
    for size in (1, AT_ONCE):
        began = perf_counter()
        tokens = [await answered(asked[at : at + size]) for at in range(0, len(asked), size)]
        speeds.append(sum(tokens) / (perf_counter() - began))
    await client.close()
    return Side(load, *speeds, _peak_memory())


def transformers_side() -> Side:
    started = perf_counter()
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(FILES)
    model = AutoModelForCausalLM.from_pretrained(FILES, dtype=torch.float32).eval()
    load = perf_counter() - started
    torch.set_num_threads(1)

    def answered(prompts: Sequence[Sequence[Message]]) -> int:
        texts = [
            tokenizer.apply_chat_template(
                [message.to_json() for message in one], tokenize=False, add_generation_prompt=True
            )
            for one in prompts
        ]
        inputs = tokenizer(texts, return_tensors="pt", padding=True, padding_side="left")
        with torch.inference_mode():
            found = model.generate(**inputs, max_new_tokens=ANSWER_TOKENS, do_sample=False)
        new = found[:, inputs["input_ids"].shape[1] :]
        return int((new != tokenizer.pad_token_id).sum())

    asked = requests()
    answered(asked[:1])
    speeds = []
    for size in (1, AT_ONCE):
        began = perf_counter()
        tokens = [answered(asked[at : at + size]) for at in range(0, len(asked), size)]
        speeds.append(sum(tokens) / (perf_counter() - began))
    return Side(load, *speeds, _peak_memory())


def _peak_memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {CORE})
    side = transformers_side() if sys.argv[1:] == ["transformers"] else asyncio.run(numpy_side())
    print(json.dumps(asdict(side)))


if __name__ == "__main__":
    main()
