"""Two minutes of what `make soak` does for half an hour."""

import secrets
from pathlib import Path

import pytest

from tests.faults.soak.soak import soak

SECONDS = 120


@pytest.mark.slow
async def test_faults_of_all_kinds_at_random_lose_and_double_nothing(tmp_path: Path) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 - pytest shows it when the test fails
    report = await soak(SECONDS, seed, tmp_path)
    assert report.wrong == [], str(report)
    assert report.acknowledged > 0
    assert len(report.faults) > 1
