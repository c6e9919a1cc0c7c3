"""`clients/openapi.json`: what clients in other languages are generated from."""

from pathlib import Path

from service.commands.openapi import openapi_document

FILE = Path(__file__).parents[2] / "clients/openapi.json"


def test_it_is_the_document_of_this_version() -> None:
    assert FILE.read_text() == openapi_document(), "run `make openapi`"
