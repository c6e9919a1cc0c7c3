"""What FastAPI cannot know of the API: the key, how problems look, the bodies that routes read."""

from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.api.problems import MEDIA_TYPE

_SCHEME = "api_key"
_REF = "#/components/schemas/{model}"


class DocumentedApi(FastAPI):
    """An application whose OpenAPI document says how to authenticate and how errors look.

    `models` are those that routes name with `ref`.
    """

    def __init__(self, *, models: Sequence[type[BaseModel]], **options: Any) -> None:
        super().__init__(**options)
        self._models = models

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        document["components"]["securitySchemes"] = {
            _SCHEME: {"type": "http", "scheme": "bearer", "bearerFormat": "bump_…"}
        }
        _, named = models_json_schema(
            [(model, "validation") for model in self._models], ref_template=_REF
        )
        document["components"]["schemas"] |= named["$defs"]
        for path, operation in _operations(document):
            if path.startswith("/v1/"):
                operation["security"] = [{_SCHEME: []}]
            for response in operation["responses"].values():
                _describe_problem(response)
        return document


def ref(model: type[BaseModel]) -> str:
    """How a route's own OpenAPI names a model."""
    return _REF.format(model=model.__name__)


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            yield path, operation


def _describe_problem(response: dict[str, Any]) -> None:
    # FastAPI puts every model under the media type of the route's successful answer.
    content = response.get("content", {})
    if MEDIA_TYPE in content and "application/json" in content:
        content[MEDIA_TYPE] = content.pop("application/json")
