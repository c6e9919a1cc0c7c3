"""Several processes get the rewards that one would, and the judge is asked once for all."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.train

ROOT = Path(__file__).parents[3]
SECONDS = 180


def run(processes: int, folder: Path, **environment: str) -> list[dict[str, Any]]:
    """What each process has to tell of the same step."""
    launcher = ("torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m")
    subprocess.run(
        [sys.executable, "-m", *launcher, "tests.unit.trainer.ranked_step", str(folder)],
        cwd=ROOT,
        env={**os.environ, **environment, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        check=True,
        capture_output=True,
        timeout=SECONDS,
    )
    names = [f"{rank}-of-{processes}.json" for rank in range(processes)]
    return [json.loads((folder / name).read_text()) for name in names]


@pytest.mark.slow
def test_processes_that_share_a_step_get_the_rewards_of_a_single_one(tmp_path: Path) -> None:
    (alone,) = run(1, tmp_path)
    first, second = run(2, tmp_path)
    assert len(alone["rewards"]) == 20
    assert len(set(alone["rewards"])) > 2
    assert first["rewards"] + second["rewards"] == alone["rewards"]
    assert [told["rounds"] for told in (alone, first, second)] == [1, 1, 0]


@pytest.mark.slow
def test_a_judge_that_stays_away_ends_every_process(tmp_path: Path) -> None:
    first, second = run(2, tmp_path, JUDGE="fails")
    assert first["error"].startswith("JudgeUnavailable")
    assert second["error"].startswith("OtherRankFailed: JudgeUnavailable")
