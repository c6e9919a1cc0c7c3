"""Who calls: the project and scopes behind an API key. The project comes from nowhere else."""

import asyncio
import hmac
import re
from dataclasses import dataclass
from time import monotonic

from starlette.types import Scope as ConnectionScope

from service.api.headers import header
from service.db.projects import LiveKey, Scope, find_live_key, secret_digest, split_key
from service.db.session import Database
from service.errors import Forbidden, Unauthenticated

_LOOPBACK_HOSTS = {"127.0.0.1", "localhost", "::1"}
_PORT = re.compile(r":[0-9]*$")
_MAX_REMEMBERED = 10_000
_MAX_STRANGERS = 2


@dataclass(frozen=True, slots=True)
class Caller:
    """`name`: as evidence names them, by their key's prefix."""

    project_id: str
    scopes: frozenset[Scope]
    name: str


class Authenticator:
    """Checks keys; remembers what the database said of a prefix for `ttl` seconds.

    `loopback_project` set: a call without a key from this machine acts as that project, with
    every scope, unless a page of another site sends it. It is for the embedded default only.
    """

    def __init__(self, database: Database, *, ttl: float, loopback_project: str | None) -> None:
        self._database = database
        self._ttl = ttl
        self._loopback = (
            Caller(loopback_project, frozenset(Scope), "loopback") if loopback_project else None
        )
        self._remembered: dict[str, tuple[float, LiveKey | None]] = {}
        # Whoever guesses keys must not take the connections of those who have one.
        self._strangers = asyncio.Semaphore(_MAX_STRANGERS)

    async def authenticate(self, connection: ConnectionScope, needed: Scope) -> Caller:
        """Raises Unauthenticated without a live key, Forbidden without the scope `needed`."""
        caller = await self._caller(connection)
        if needed not in caller.scopes and Scope.ADMIN not in caller.scopes:
            raise Forbidden(f"This key lacks the scope '{needed}'.", scope=needed.value)
        return caller

    def needs_key(self, connection: ConnectionScope) -> bool:
        """Whether a call from there is refused without a key."""
        return self._loopback is None or not _is_loopback(connection)

    async def _caller(self, connection: ConnectionScope) -> Caller:
        authorization = header(connection, b"authorization")
        if authorization is None:
            if self._loopback and not self.needs_key(connection):
                return self._loopback
            raise Unauthenticated("Send an API key: `Authorization: Bearer bump_…`.")
        kind, _, credentials = authorization.partition(" ")
        parts = split_key(credentials.strip()) if kind.lower() == "bearer" else None
        if parts is None:
            raise Unauthenticated("The Authorization header does not hold a key of this service.")
        prefix, secret = parts
        key = await self._live_key(prefix)
        if key is None or not hmac.compare_digest(key.secret_sha256, secret_digest(secret)):
            raise Unauthenticated("This key is unknown, revoked or expired.")
        return Caller(key.project_id, key.scopes, f"key:{prefix}")

    async def _live_key(self, prefix: str) -> LiveKey | None:
        now = monotonic()
        remembered = self._remembered.get(prefix)
        if remembered and remembered[0] > now:
            return remembered[1]
        if remembered and remembered[1]:
            key = await find_live_key(self._database, prefix)
        else:
            async with self._strangers:
                key = await find_live_key(self._database, prefix)
        if len(self._remembered) >= _MAX_REMEMBERED:
            # The oldest first: many unknown keys must not drive all good ones out at once.
            self._remembered.pop(next(iter(self._remembered)))
        self._remembered.pop(prefix, None)
        self._remembered[prefix] = (now + self._ttl, key)
        return key


def _is_loopback(connection: ConnectionScope) -> bool:
    # The Host header too: a web page may point a name of its own at 127.0.0.1 (DNS rebinding).
    client, _ = connection["client"] or ("", 0)
    name = _name(header(connection, b"host") or "")
    return client in _LOOPBACK_HOSTS and name in _LOOPBACK_HOSTS and not _is_cross_site(connection)


def _is_cross_site(connection: ConnectionScope) -> bool:
    """Whether a browser sends it for a page that does not come from this machine.

    A form of any web page can post to 127.0.0.1, and needs no answer to have done harm.
    """
    if header(connection, b"sec-fetch-site") == "cross-site":
        return True
    origin = header(connection, b"origin")
    return origin is not None and _name(origin.partition("://")[2]) not in _LOOPBACK_HOSTS


def _name(authority: str) -> str:
    return _PORT.sub("", authority.lower()).strip("[]")
