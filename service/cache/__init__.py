"""The profile cache (Redis or Valkey): final bytes, version-checked writes, one round trip a read.

Three keys a user, in one hash slot, named by a digest of (project, user):

- `:p` the entry, `<version> <header length> <header><fresh body><stale body>`; the header repeats
  project and user, and a read verifies them. Version 0 says that there is no profile, the highest
  one is a block (erasure, pause): nothing can be cached behind it until it expires.
- `:r` the user's revision, raised by ingest after its commit. A read takes both keys and picks the
  fresh or the stale body; without `:r` it asks Postgres.
- `:w:<token>` the right to write, with a deadline. Who holds a token that has expired was too slow
  and is refused, so a frozen process cannot bring back what has changed since.
"""

from service.cache.entry import Entry, user_digest
from service.cache.profile_cache import (
    BLOCKED_VERSION,
    ERASURE_BLOCK_SECONDS,
    PAUSE_BLOCK_SECONDS,
    Hit,
    NoHit,
    ProfileCache,
    WriteToken,
    open_cache,
)

__all__ = [
    "BLOCKED_VERSION",
    "ERASURE_BLOCK_SECONDS",
    "PAUSE_BLOCK_SECONDS",
    "Entry",
    "Hit",
    "NoHit",
    "ProfileCache",
    "WriteToken",
    "open_cache",
    "user_digest",
]
