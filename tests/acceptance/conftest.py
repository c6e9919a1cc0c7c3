"""A real vLLM server, shared by all acceptance tests of a run."""

import os
from collections.abc import Iterator

import pytest

from tests.vllm_server import vllm_server, vllm_unavailable_reason


@pytest.fixture(scope="session")
def vllm() -> Iterator[str]:
    """Base URL of a real vLLM server. Skips where there is none, fails if BUMP_REQUIRE_VLLM=1."""
    if reason := vllm_unavailable_reason():
        if os.environ.get("BUMP_REQUIRE_VLLM") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with vllm_server() as base_url:
        yield base_url
