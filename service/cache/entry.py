"""What the cache holds for one user, and how users are named where their id must not stand."""

import hashlib
from dataclasses import dataclass

import orjson

from service.domain.profile import Profile, profile_document


@dataclass(frozen=True, slots=True)
class Entry:
    """A profile ready to send. `version` 0 means: known to have none, both bodies empty."""

    project_id: str
    user_id: str
    version: int
    revision: int
    fresh_body: bytes
    stale_body: bytes
    fresh_etag: str
    stale_etag: str

    @classmethod
    def of_profile(cls, project_id: str, profile: Profile) -> "Entry":
        fresh, stale = (
            orjson.dumps(profile_document(profile, stale=stale)) for stale in (False, True)
        )
        return cls(
            project_id=project_id,
            user_id=profile.user_id,
            version=profile.version,
            revision=profile.revision,
            fresh_body=fresh,
            stale_body=stale,
            fresh_etag=_etag(fresh),
            stale_etag=_etag(stale),
        )

    @classmethod
    def absent(cls, project_id: str, user_id: str) -> "Entry":
        return cls(project_id, user_id, 0, 0, b"", b"", "", "")

    def to_bytes(self) -> bytes:
        header = orjson.dumps(
            [
                self.project_id,
                self.user_id,
                self.revision,
                len(self.fresh_body),
                self.fresh_etag,
                self.stale_etag,
            ]
        )
        prefix = b"%d %d " % (self.version, len(header))
        return prefix + header + self.fresh_body + self.stale_body

    @classmethod
    def from_bytes(cls, data: bytes) -> "Entry":
        """Raises ValueError when `data` is no entry of this format."""
        version, header_length, rest = data.split(b" ", 2)
        body = int(header_length)
        project_id, user_id, revision, fresh_length, fresh, stale = orjson.loads(rest[:body])
        split = body + fresh_length
        return cls(
            project_id=project_id,
            user_id=user_id,
            version=int(version),
            revision=revision,
            fresh_body=rest[body:split],
            stale_body=rest[split:],
            fresh_etag=fresh,
            stale_etag=stale,
        )


def user_digest(project_id: str, user_id: str) -> bytes:
    """16 bytes that name a user where the id must not stand; lengths keep pairs from colliding."""
    project, user = project_id.encode(), user_id.encode()
    return hashlib.blake2b(b"%d:%s%s" % (len(project), project, user), digest_size=16).digest()


def _etag(body: bytes) -> str:
    return '"' + hashlib.blake2b(body, digest_size=12).hexdigest() + '"'
