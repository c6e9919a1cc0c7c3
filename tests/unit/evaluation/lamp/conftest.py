"""The real data, which is not part of the project and may be absent."""

from pathlib import Path

import pytest

_SHARED = Path(__file__).parents[5] / "shared" / "data" / "lamp"


@pytest.fixture(scope="session")
def real_data() -> Path:
    if not _SHARED.is_dir():
        pytest.skip(f"{_SHARED} is not there")
    return _SHARED
