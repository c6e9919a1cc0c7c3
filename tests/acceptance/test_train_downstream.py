"""From LaMP's files to rows of a taught model: every command as it is called, and a real vLLM."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.commands.lamp import lamp
from service.commands.lamp_plan import Request
from service.config import Settings
from service.evaluation.lamp.reading import Split
from service.trainer.vllm_server import VllmServer
from tests.unit.evaluation.lamp.files import reviews, write, write_golds
from tests.vllm_server import tiny_model

pytestmark = [pytest.mark.vllm, pytest.mark.train, pytest.mark.slow]

SECONDS = 300
SPLITS = {"train": {"t1": (4, 5, 4), "t2": (1, 2, 1)}, "dev": {"d1": (5, 5), "d2": (2, 4)}}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for split, users in SPLITS.items():
        files = tmp_path / "data" / "LaMP_3" / split
        samples = [reviews(user, *scores) for user, scores in users.items()]
        write(files / f"{split}_questions.json", samples)
        golds = {user: str(scores[0]) for user, scores in users.items()}
        write_golds(files / f"{split}_outputs.json", "LaMP_3", **golds)
    return tmp_path / "data"


def bump(*arguments: str, **environment: str) -> str:
    """Standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_a_model_that_was_taught_is_evaluated_by_its_name(
    data: Path, tmp_path: Path, vllm: str
) -> None:
    taught, out, lamp_out = (tmp_path / name for name in ("taught.jsonl.gz", "run", "lamp"))
    bump(
        *("lamp", str(data), "--task=LaMP_3", "--split=train", "--methods=last-items"),
        *(f"--output={lamp_out}", f"--write-demonstrations={taught}"),
        *(f"--url={vllm}", "--model=tiny"),
    )
    configuration = tmp_path / "train.toml"
    configuration.write_text(f"""
        [model]
        name = "{tiny_model()}"
        lora_rank = 4
        [training]
        epochs = 2
        batch = 2
        micro_batch = 2
        learning_rate = 0.01
        precision = "fp32"
        """)
    files = (f"--config={configuration}", f"--demonstrations={taught}")
    said = bump("train", "downstream", *files, f"--output={out}")
    adapter = Path(said.splitlines()[-1])
    assert json.loads((adapter / "card.json").read_text())["origin"]["method"] == "last-items"
    server = VllmServer(vllm, timeout=60)
    try:
        await server.load_adapter("taught", adapter)
        named = Settings(_env_file=None, downstream_url=vllm, downstream_model="taught")
        asked = Request(data, lamp_out, "LaMP_3", Split.DEV, methods="last-items")
        document = await lamp(named, asked)
    finally:
        await server.unload_adapter("taught")
        await server.close()
    (row,) = document["rows"]
    assert (row["samples"], row["failed"]) == (2, 0)
    assert document["model"]["name"] == "taught"
