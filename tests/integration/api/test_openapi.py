"""The OpenAPI document: a contract that clients are generated from."""

import httpx2
from fastapi import FastAPI

from service.errors import BumpError, InvalidBody
from tests.integration.api.routes import api_routes

OPERATION_IDS = {
    "add_interactions",
    "assemble_prompt",
    "diff_profile_versions",
    "erase_user",
    "export_user",
    "get_profile",
    "get_profile_version",
    "list_interactions",
    "list_profile_versions",
    "personalize_answer",
    "put_corrections",
    "regenerate_profile",
    "roll_back_profile",
    "set_profiling",
}
PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


async def test_the_document_is_openapi_3_1_and_served(
    app: FastAPI, client: httpx2.AsyncClient
) -> None:
    served = (await client.get("/openapi.json")).json()
    assert served["openapi"].startswith("3.1")
    assert served == app.openapi()


def test_operation_ids_are_unique_and_the_ones_that_clients_know(app: FastAPI) -> None:
    names = [route.name for route in api_routes(app)]
    assert len(names) == len(set(names))
    # A removed or renamed id breaks generated clients.
    assert set(names) >= OPERATION_IDS


def test_every_route_says_what_it_does_and_that_it_needs_a_key(app: FastAPI) -> None:
    (scheme,) = app.openapi()["components"]["securitySchemes"]
    for route in api_routes(app):
        assert route.operation["description"], route.name
        assert route.operation["security"] == [{scheme: []}], route.name


def test_every_route_documents_its_problems(app: FastAPI) -> None:
    for route in api_routes(app):
        responses = route.operation["responses"]
        always = {"401", "403", "422", "503"}
        of_users = {"404"} if route.of_a_user else set()
        of_bodies = {str(InvalidBody.status), "413"} if route.takes_a_body else set()
        assert set(responses) >= always | of_users | of_bodies, route.name
        for status, response in responses.items():
            if status >= "400":
                assert response["content"] == PROBLEM, (route.name, status)


def test_every_documented_problem_status_is_one_that_exists(app: FastAPI) -> None:
    known = {str(error.status) for error in _subclasses(BumpError)}
    for route in api_routes(app):
        documented = {status for status in route.operation["responses"] if status >= "400"}
        assert documented <= known, route.name


def test_every_successful_answer_has_a_schema(app: FastAPI) -> None:
    for route in api_routes(app):
        schema = route.operation["responses"]["200"]["content"]["application/json"]["schema"]
        assert schema, route.name


def _subclasses(error: type[BumpError]) -> set[type[BumpError]]:
    return {error}.union(*(_subclasses(child) for child in error.__subclasses__()))
