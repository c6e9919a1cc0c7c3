"""Pure ASGI middleware: answers one route before the middleware and routing behind it."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.problems import problem_response
from service.errors import BumpError


class HotRoute:
    """Hands requests that match `route` to `endpoint`; errors are rendered as everywhere."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        route: Route,
        endpoint: Callable[[Request], Awaitable[Response]],
    ) -> None:
        self._app = app
        self._route = route
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        match, matched = self._route.matches(scope)
        if match is not Match.FULL:
            await self._app(scope, receive, send)
            return
        scope.update(matched, route=self._route)
        try:
            response = await self._endpoint(Request(scope, receive, send))
        except BumpError as error:
            response = problem_response(error)
        await response(scope, receive, send)
