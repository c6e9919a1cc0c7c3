"""Every route of the API with a request that would be right, read from its OpenAPI document."""

import re
from dataclasses import dataclass
from typing import Any

import httpx2
from fastapi import FastAPI

METHODS = ("get", "put", "post", "delete", "patch")

# What a caller sends where the schema alone does not say it.
BODIES: dict[str, dict[str, Any]] = {
    "add_interactions": {"user_id": "ana", "event_id": "e1", "text": "Baked bread."},
    "roll_back_profile": {"version": 1},
    "set_profiling": {"profiling": "on"},
    "put_corrections": {"pinned": ["Allergic to nuts."]},
    "put_sensitive_categories": {"allowed": ["health"]},
    "assemble_prompt": {"user_id": "ana", "input": "What should I bake?"},
    "requeue_regenerations": {"user_id": "ana"},
    "register_generator": {"model": "tiny"},
    "promote_generator": {"stage": "shadow"},
    "personalize_answer": {"user_id": "ana", "input": "What should I bake?"},
    "put_prompt_settings": {"template": "system"},
    "create_chat_completion": {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}]},
}
QUERIES = {"diff_profile_versions": {"from": "1", "to": "1"}}


@dataclass(frozen=True, slots=True)
class ApiRoute:
    """One operation of the OpenAPI document."""

    method: str
    path: str
    operation: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.operation["operationId"])

    @property
    def takes_a_body(self) -> bool:
        return "requestBody" in self.operation

    @property
    def of_a_user(self) -> bool:
        return "{user_id}" in self.path

    async def call(
        self, client: httpx2.AsyncClient, user_id: str = "ana", **options: Any
    ) -> httpx2.Response:
        """Send the request; `options` replace what is sent."""
        path = re.sub(r"\{(\w+)\}", lambda m: user_id if m[1] == "user_id" else "1", self.path)
        request: dict[str, Any] = {"params": QUERIES.get(self.name)}
        if self.takes_a_body:
            request["json"] = BODIES[self.name]
        return await client.request(self.method, path, **{**request, **options})


def api_routes(app: FastAPI) -> list[ApiRoute]:
    """All routes below /v1."""
    return [
        ApiRoute(method.upper(), path, operation)
        for path, operations in app.openapi()["paths"].items()
        for method, operation in operations.items()
        if method in METHODS and path.startswith("/v1/")
    ]
