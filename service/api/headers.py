"""Headers of a raw ASGI request: building Starlette's object costs more than one look does."""

from starlette.types import Scope


def header(request: Scope, name: bytes) -> str | None:
    """The first value under `name`, which is in lower case; None without one."""
    for key, value in request["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return None
