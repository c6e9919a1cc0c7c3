"""`bump train llm` for real: TRL and a LoRA here, rollouts from a vLLM that gets every adapter."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import httpx2
import pytest

from service.trainer.curves import read_curves
from service.trainer.vllm_server import VllmServer
from tests.faults.processes import ServiceProcess, eventually
from tests.vllm_server import MODEL_NAME, tiny_model

pytestmark = [pytest.mark.vllm, pytest.mark.train, pytest.mark.slow]

HOBBIES = ("sourdough", "orchids", "chess", "kayaking", "pottery", "falconry")
STEPS = 3
RUN_SECONDS = 300


@pytest.fixture
def histories(tmp_path: Path) -> Path:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [
        {
            "user_id": f"user-{hobby}",
            "event_id": f"{hobby}-{day}",
            "occurred_at": (start + timedelta(days=day)).isoformat(),
            "text": f"spent day {day} on {hobby} again",
        }
        for hobby in HOBBIES
        for day in range(12)
    ]
    path = tmp_path / "histories.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def configuration(tmp_path: Path, vllm: str) -> Path:
    # Nearly all answers of random weights are worth the same; the entropy gives a gradient anyway.
    path = tmp_path / "train.toml"
    path.write_text(f"""
        [policy]
        model = "{tiny_model()}"
        lora_rank = 4
        lora_alpha = 8
        history_tokens = 400
        [reward]
        negatives = 2
        [judge]
        kind = "lexical"
        [rollouts]
        url = "{vllm}"
        answer_tokens = 48
        [training]
        users = 3
        group = 2
        steps = {STEPS}
        users_share = 1.0
        micro_batch = 3
        learning_rate = 0.01
        entropy = 0.1
        precision = "fp32"
        save_every = 1
        """)
    return path


@contextmanager
def training(configuration: Path, histories: Path, output: Path) -> Iterator[ServiceProcess]:
    options = (f"--config={configuration}", f"--histories={histories}", f"--output={output}")
    log = output.with_suffix(".log")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    run = ServiceProcess(("-m", "service", "train", "llm", *options), environment, log)
    try:
        yield run
    finally:
        run.kill()


async def test_a_killed_run_goes_on_and_leaves_an_adapter_that_vllm_serves(
    configuration: Path, histories: Path, tmp_path: Path, vllm: str
) -> None:
    output = tmp_path / "output"
    checkpoints = output / "checkpoints"
    with training(configuration, histories, output) as killed:
        await eventually(
            lambda: any(checkpoints.glob("checkpoint-*/trainer_state.json")) or not killed.running,
            RUN_SECONDS,
            killed.log,
        )
        assert killed.running, killed.log()
    with training(configuration, histories, output) as resumed:
        await eventually(lambda: (output / "adapter/card.json").exists(), RUN_SECONDS, resumed.log)
    assert [row["step"] for row in read_curves(output)] == [1, 2, 3]
    assert all(row["bump/questions"] > 0 for row in read_curves(output))
    card = json.loads((output / "adapter/card.json").read_text())
    weights = (output / "adapter" / card["artifact"]).read_bytes()
    assert card["sha256"] == sha256(weights).hexdigest()
    assert len(card["users"]) == len(HOBBIES)
    assert [step for step, _ in card["curve"]] == [1, 2, 3]
    (adapter,) = await adapters(vllm)
    assert adapter.endswith(f"-{STEPS - 1}")
    await assert_serves_something_new(vllm, output / "adapter")


async def adapters(vllm: str) -> list[str]:
    """The adapters that the server holds: each took the place of the one before it, also of what
    the killed run had left."""
    async with httpx2.AsyncClient(base_url=vllm, trust_env=False) as client:
        models = (await client.get("/models")).json()["data"]
    return [model["id"] for model in models if model["id"] != MODEL_NAME]


async def assert_serves_something_new(vllm: str, adapter: Path) -> None:
    server = VllmServer(vllm, timeout=60)
    try:
        await server.load_adapter("trained", adapter)
        before, after = [await log_probabilities(vllm, name) for name in (MODEL_NAME, "trained")]
        assert max(abs(b - a) for b, a in zip(before, after, strict=True)) > 0.01
    finally:
        await server.unload_adapter("trained")
        await server.close()


async def log_probabilities(vllm: str, model: str) -> list[float]:
    body = {"model": model, "prompt": "The user often writes", "echo": True, "logprobs": 0}
    async with httpx2.AsyncClient(base_url=vllm, timeout=60, trust_env=False) as client:
        response = await client.post("/completions", json={**body, "max_tokens": 1})
    _, *found = response.json()["choices"][0]["logprobs"]["token_logprobs"]
    return [float(one) for one in found[:-1]]
