"""`bump train llm` as it is called, without a GPU and without a server: the sampling is its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.config import Settings
from service.db.generators import GeneratorKind, GeneratorStatus, registered
from service.runtime import Runtime
from tests.histories import Add, event

Done = subprocess.CompletedProcess[str]
MODEL_SCRIPT = Path(__file__).parents[1] / "vllm_model.py"
SECONDS = 300
CONFIGURATION = """
[policy]
model = "{model}"
lora_rank = 2
lora_alpha = 4
history_tokens = 200
[reward]
negatives = 2
[judge]
kind = "lexical"
[rollouts]
engine = "transformers"
answer_tokens = 4
[training]
users = 3
group = 2
steps = {steps}
users_share = 1.0
micro_batch = 6
precision = "fp32"
"""


def run(folder: Path, *options: str, configuration: str, **environment: str) -> Done:
    """The command, without a `.env` or settings of ours."""
    path = folder / "train.toml"
    path.write_text(configuration)
    known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [
            *(sys.executable, "-m", "service", "train", "llm"),
            *(f"--config={path}", f"--output={folder / 'output'}", *options),
        ],
        env={**known, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    subprocess.run([sys.executable, MODEL_SCRIPT, folder], check=True, capture_output=True)
    return folder


@pytest.mark.train
@pytest.mark.slow
async def test_an_adapter_trained_on_a_live_project_is_its_candidate(
    settings: Settings, runtime: Runtime, project_id: str, add: Add, tmp_path: Path, model: Path
) -> None:
    for user in ("ana", "ben", "cem", "dan"):
        await add([event(user, n, text=f"{user} plays {n} pieces by {user}") for n in range(12)])
    assert settings.database_url
    done = run(
        tmp_path,
        f"--project={project_id}",
        configuration=CONFIGURATION.format(model=model, steps=1),
        BUMP_DATABASE_URL=settings.database_url.get_secret_value(),
    )
    adapter = tmp_path / "output" / "adapter"
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(adapter)
    async with runtime.database.transaction(project_id) as tx:
        (candidate,) = await registered(tx)
    assert candidate.kind is GeneratorKind.LLM
    assert candidate.status is GeneratorStatus.CANDIDATE
    assert candidate.artifact_uri == adapter.as_uri()
    assert candidate.name == f"llm-{candidate.sha256[:12]}"


@pytest.mark.parametrize(
    ("configuration", "lines", "reason"),
    [
        ("[rollouts]\nurl = 1", "", "rollouts.url"),
        ("[training]\nlr = 1", "", "training.lr is no setting"),
        (CONFIGURATION, "not json\n", "holds no interaction"),
    ],
    ids=["wrong value", "unknown key", "no histories"],
)
@pytest.mark.train
def test_what_cannot_be_trained_is_one_plain_sentence(
    tmp_path: Path, configuration: str, lines: str, reason: str
) -> None:
    histories = tmp_path / "histories.jsonl"
    histories.write_text(lines)
    done = run(
        tmp_path,
        f"--histories={histories}",
        configuration=configuration.format(model="none", steps=1),
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("bump: ")
    assert len(done.stderr.splitlines()) == 1
    assert reason in done.stderr
