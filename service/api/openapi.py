"""What FastAPI cannot know when it describes the API: the key, and the media type of problems."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from service.api.problems import MEDIA_TYPE

_SCHEME = "api_key"


class DocumentedApi(FastAPI):
    """An application whose OpenAPI document says how to authenticate and how errors look."""

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        document["components"]["securitySchemes"] = {
            _SCHEME: {"type": "http", "scheme": "bearer", "bearerFormat": "bump_…"}
        }
        for path, operation in _operations(document):
            if path.startswith("/v1/"):
                operation["security"] = [{_SCHEME: []}]
            for response in operation["responses"].values():
                _describe_problem(response)
        return document


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            yield path, operation


def _describe_problem(response: dict[str, Any]) -> None:
    # FastAPI puts every model under the media type of the route's successful answer.
    content = response.get("content", {})
    if MEDIA_TYPE in content and "application/json" in content:
        content[MEDIA_TYPE] = content.pop("application/json")
