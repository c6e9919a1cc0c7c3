"""Fixtures of the fault tests: processes that end with the test, and a stack to break."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.faults.private_stack import PrivateStack, open_private_stack
from tests.faults.processes import Processes


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    started = Processes(tmp_path)
    try:
        yield started
    finally:
        started.end()


@pytest.fixture
async def private_stack() -> AsyncIterator[PrivateStack]:
    """A Postgres and a Valkey that no other test uses."""
    async with open_private_stack() as stack:
        yield stack
