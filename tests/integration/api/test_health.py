"""`/livez`, `/readyz` and `/metrics`."""

import httpx2
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from service import telemetry
from service.worker import Worker
from tests.integration.api.calls import event, get, post, write_profile
from tests.integration.api.conftest import ClientWith

NOBODY_LISTENS = "127.0.0.1:1"


async def test_a_process_that_runs_is_alive(client: httpx2.AsyncClient) -> None:
    assert await get(client, "/livez") == {"status": "alive"}


async def test_ready_without_details_unless_asked(client: httpx2.AsyncClient) -> None:
    assert await get(client, "/readyz") == {"status": "ready", "checks": None}


async def test_verbose_readiness_names_each_check(client: httpx2.AsyncClient) -> None:
    response = await client.get("/readyz?verbose")
    assert response.json()["checks"] == {
        "process": "ok",
        "database": "ok",
        "cache": "ok",
        "downstream": "not configured",
    }


async def test_without_a_cache_the_service_is_degraded_and_works(
    client: httpx2.AsyncClient, worker: Worker, client_with: ClientWith
) -> None:
    profile = await write_profile(client, worker)
    async with client_with(redis_url=SecretStr(f"redis://{NOBODY_LISTENS}/0")) as degraded:
        response = await degraded.get("/readyz?verbose")
        assert (response.status_code, response.json()["status"]) == (200, "degraded")
        assert response.json()["checks"]["cache"] == "unavailable"
        assert await get(degraded, "/v1/users/ana/profile") == profile
        assert (await post(degraded, event(50)))["accepted"] == 1


async def test_a_downstream_that_is_configured_is_named_but_not_asked(
    client_with: ClientWith,
) -> None:
    async with client_with(
        downstream_url=f"http://{NOBODY_LISTENS}/v1", downstream_model="none"
    ) as configured:
        checks = (await configured.get("/readyz?verbose")).json()["checks"]
    assert checks["downstream"] == "configured"


async def test_metrics_expose_every_name_of_the_telemetry(client: httpx2.AsyncClient) -> None:
    declared = {
        metric._name
        for metric in vars(telemetry).values()
        if isinstance(metric, telemetry.Counter | telemetry.Gauge | telemetry.Histogram)
    }
    exposed = {family.name for family in text_string_to_metric_families(await _metrics(client))}
    assert len(declared) >= 10
    assert declared <= {name.removesuffix("_total") for name in exposed}


async def test_requests_are_counted_by_route_template(
    client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    await client.get("/v1/users/canary-user/profile/versions")
    await client.get("/nowhere/canary-path")
    metrics = await _metrics(client)
    assert 'method="GET",route="/v1/users/{user_id}/profile",status="200"' in metrics
    assert 'method="GET",route="/v1/users/{user_id}/profile/versions",status="404"' in metrics
    assert 'method="GET",route="unknown",status="404"' in metrics


async def test_metrics_hold_nothing_of_a_user_after_traffic(
    client: httpx2.AsyncClient, worker: Worker, project_id: str
) -> None:
    user_id, words = "canary-user", "canary-words"
    batch = [event(n, user_id, text=f"{words} {n}", type="canary-type") for n in range(6)]
    await post(client, *batch)
    await write_profile(client, worker, user_id)
    await client.post("/v1/personalize/prompt", json={"user_id": user_id, "input": words})
    await client.post("/v1/interactions", json={"user_id": user_id, "text": 1})
    await client.request("CANARY-METHOD", f"/v1/users/{user_id}/profile")
    await client.delete(f"/v1/users/{user_id}")
    metrics = (await _metrics(client)).lower()
    assert "canary" not in metrics
    assert project_id not in metrics


async def _metrics(client: httpx2.AsyncClient) -> str:
    response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    return response.text
