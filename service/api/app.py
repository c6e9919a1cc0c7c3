"""The ASGI application of one API process."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from service import __version__
from service.api import (
    chat_completions,
    console,
    docs,
    generators,
    health,
    interactions,
    personalize,
    problems,
    profiles,
    project,
    project_settings,
    regenerations,
    sensitive_categories,
    user_reports,
    users,
)
from service.api.authentication import Authenticator
from service.api.draining import AnsweredInTime, Drain
from service.api.hot_routes import HotAnswers, HotReads
from service.api.observation import Observation
from service.api.openapi import DocumentedApi
from service.config import Settings
from service.errors import BumpError, ConfigurationError
from service.runtime import Runtime, open_runtime

log = structlog.get_logger()

_ROUTES = (
    health,
    docs,
    console,
    interactions,
    profiles,
    users,
    user_reports,
    regenerations,
    personalize,
    project,
    project_settings,
    sensitive_categories,
    generators,
    chat_completions,
)
_DESCRIPTION = """
POST what your users do, GET their profile, call `/v1/personalize` for tailored generations.

Authenticate with `Authorization: Bearer bump_…`; the project comes from the key. Errors are
problem documents (RFC 9457) with a stable `type`.
"""


class _Application(DocumentedApi):
    """FastAPI behind what must see every request first.

    Its own middleware stands further in, behind code that costs as much as a whole cached read.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._front: ASGIApp = Observation(HotReads(AnsweredInTime(HotAnswers(super().__call__))))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self
        await self._front(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        # Without the outermost: it would answer a surprise in plain text, `Observation` answers
        # with a problem.
        outermost = super().build_middleware_stack()
        assert isinstance(outermost, ServerErrorMiddleware)
        return outermost.app


def create_app(settings: Settings, *, multiprocess: bool = False) -> FastAPI:
    """The application. Resources open with its lifespan and close with it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        runtime = await _open(settings)
        _attach(app, runtime)
        app.state.drain.on_signal(settings.drain_delay, settings.drain_timeout)
        _freeze_heap()
        try:
            yield
        finally:
            await runtime.close()

    app = _Application(
        models=(*interactions.BODY_MODELS, *chat_completions.BODY_MODELS),
        title="Bump",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        generate_unique_id_function=_operation_id,
        redirect_slashes=False,
        docs_url=None,  # FastAPI's own pages load their scripts from other hosts
        redoc_url=None,
    )
    app.state.drain = Drain()
    app.state.multiprocess = multiprocess
    for module in _ROUTES:
        app.include_router(module.router)
    app.mount(docs.ASSETS_PATH, docs.swagger_ui_assets())
    app.mount(console.PATH, console.static_files())
    problems.install(app)
    return app


async def _open(settings: Settings) -> Runtime:
    try:
        return await open_runtime(settings, answering=True)
    except (ConfigurationError, BumpError) as error:
        log.error("cannot_start", reason=str(error))
        raise
    except Exception:
        log.exception("cannot_start")
        raise


def _attach(app: FastAPI, runtime: Runtime) -> None:
    settings = runtime.settings
    app.state.runtime = runtime
    app.state.authenticator = Authenticator(
        runtime.database,
        ttl=settings.key_cache_ttl,
        loopback_project=settings.loopback_project if settings.auth == "loopback" else None,
    )


def _operation_id(route: APIRoute) -> str:
    return route.name


def _freeze_heap() -> None:
    # What start-up has made lives as long as the process; scanning it in every full collection
    # costs tens of milliseconds at the 99th percentile.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
