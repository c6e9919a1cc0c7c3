"""`/docs`: Swagger UI, all of it from this server: no third party is asked, no internet needed."""

from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

ASSETS_PATH = "/docs/assets"

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs(request: Request) -> Response:
    """Every route with its errors, to read and to try."""
    root = request.scope.get("root_path", "")
    assets = f"{root}{ASSETS_PATH}"
    page = get_swagger_ui_html(
        openapi_url=f"{root}/openapi.json",
        title="Bump",
        swagger_js_url=f"{assets}/swagger-ui-bundle.js",
        swagger_css_url=f"{assets}/swagger-ui.css",
        swagger_favicon_url=f"{assets}/favicon.png",
        swagger_ui_parameters={"validatorUrl": None},
    )
    # FastAPI's page starts Swagger UI from an inline script.
    page.headers["Content-Security-Policy"] = (
        "default-src 'self' 'unsafe-inline'; img-src 'self' data:"
    )
    return page


def swagger_ui_assets() -> StaticFiles:
    """The scripts and styles of Swagger UI; of that package nothing else is used."""
    package = find_spec("fastapi_offline")
    assert package and package.origin
    return StaticFiles(directory=Path(package.origin).with_name("static"))
