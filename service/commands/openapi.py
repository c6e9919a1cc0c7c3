"""`bump openapi`."""

import json

from service.api.app import create_app
from service.config import Settings


def openapi_document() -> str:
    """The OpenAPI 3.1 document of this version, as it is kept in `clients/openapi.json`."""
    # The document depends on the code alone; a setting that is wrong must not stand in its way.
    document = create_app(Settings.model_construct()).openapi()
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
