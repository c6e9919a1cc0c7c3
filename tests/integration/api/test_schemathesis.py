"""Schemathesis sends what the OpenAPI document allows, and what it does not, to a real process."""

from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings

from service.api.app import create_app
from service.api.profiles import MAX_WAIT_SECONDS
from service.config import Settings
from service.worker import Worker
from tests.faults.processes import ApiProcess
from tests.integration.api.calls import write_profile

schemathesis = pytest.importorskip("schemathesis")
checks = pytest.importorskip("schemathesis.specs.openapi.checks")

pytestmark = pytest.mark.slow

EXAMPLES = 20
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
SCHEMA = schemathesis.openapi.from_dict(create_app(Settings(_env_file=None)).openapi())
# /livez takes no input, and /v1/personalize needs a model: without one its 503 is right.
OPERATIONS = {
    operation.label: operation
    for operation in (result.ok() for result in SCHEMA.get_all_operations())
    if operation.label not in ("GET /livez", "POST /v1/personalize")
}


@pytest.mark.parametrize("mode", schemathesis.GenerationMode)
@pytest.mark.parametrize("label", OPERATIONS)
async def test_every_answer_is_as_documented(
    api: ApiProcess, client: httpx2.AsyncClient, worker: Worker, label: str, mode: Any
) -> None:
    await write_profile(client, worker)

    @given(case=OPERATIONS[label].as_strategy(generation_mode=mode))
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    def send(case: Any) -> None:
        if mode is schemathesis.GenerationMode.POSITIVE and "user_id" in case.path_parameters:
            case.path_parameters["user_id"] = "ana"  # somebody who has a profile
        _be_impatient(case)
        headers = {"Authorization": client.headers["Authorization"]}
        response = case.call(base_url=api.url, headers=headers)
        case.validate_response(response, checks=CHECKS)

    send()


def _be_impatient(case: Any) -> None:
    """No worker runs here: a long `wait` would be waited out in full."""
    wait = (case.query or {}).get("wait")
    if isinstance(wait, int | float) and 0 < wait <= MAX_WAIT_SECONDS:
        case.query["wait"] = 0.01
