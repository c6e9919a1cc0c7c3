"""`/console`: a page for people, over the same API as everybody else. All of it from this server.

The key stays in the page, which sends it as any client does. So there is no cookie, and no other
site can make a browser act for whoever has logged in.
"""

from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from service.api.authentication import Authenticator

PATH = "/console"
_STATIC = Path(__file__).with_name("static")
# Trusted Types: the browser refuses to make elements from a string, wherever one may come from.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'none'; frame-ancestors 'none'; base-uri 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Asked for anew each time, so that a page and its modules are of one release.
    "Cache-Control": "no-cache",
}

router = APIRouter(include_in_schema=False)


@router.get(PATH)
async def console() -> Response:
    """The page; where one is in it stands behind the `#`, which no server sees."""
    return FileResponse(_STATIC / "index.html", headers=HEADERS)


@router.get(f"{PATH}/")
async def console_with_slash(request: Request) -> Response:
    return RedirectResponse(request.scope.get("root_path", "") + PATH, headers=HEADERS)


@router.get(f"{PATH}/entry")
async def console_entry(request: Request) -> Response:
    """Whether the page must ask for a key, before it calls what would refuse it without one."""
    authenticator: Authenticator = request.app.state.authenticator
    return JSONResponse({"needs_key": authenticator.needs_key(request.scope)}, headers=HEADERS)


class _StaticFiles(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        return response


def static_files() -> StaticFiles:
    """Scripts and styles, served as they lie in the package."""
    return _StaticFiles(directory=_STATIC)
