"""The encoder takes a second to load, so all tests share one."""

import pytest

from service.judges.encoder import Encoder, load_encoder


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    return load_encoder()
