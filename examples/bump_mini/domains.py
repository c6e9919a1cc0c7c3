"""What the corpus knows of the world: one file of phrases a domain, and who likes what of it."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("domains")
# Of each domain's interests, so many from the end are kept from training.
_KEPT_INTERESTS = 9


@dataclass(frozen=True, slots=True)
class Domain:
    """Phrases by what they are for; `{x}` in them is one of the interests."""

    name: str
    topic: str
    person: str
    place: str
    words: tuple[str, ...]
    interests: tuple[str, ...]
    habits: tuple[str, ...]
    limits: tuple[tuple[str, str], ...]
    ideas: tuple[str, ...]
    plain_ideas: tuple[str, ...]
    tips: tuple[str, ...]
    x_tips: tuple[str, ...]
    reasons: tuple[str, ...]
    steps: tuple[str, ...]
    x_steps: tuple[str, ...]
    asks: tuple[str, ...]
    occasions: tuple[str, ...]
    messages: tuple[str, ...]
    questions: tuple[str, ...]
    avoid: tuple[str, ...]

    @property
    def seen(self) -> tuple[str, ...]:
        """The interests that training may show."""
        return self.interests[:-_KEPT_INTERESTS]

    @property
    def kept(self) -> tuple[str, ...]:
        return self.interests[-_KEPT_INTERESTS:]


@cache
def domains() -> tuple[Domain, ...]:
    """All of them, by name."""
    return tuple(_read(path) for path in sorted(FOLDER.glob("*.toml")))


@cache
def unseen(domain: Domain) -> tuple[str, ...]:
    """Its interests that training never shows, in no other domain either."""
    seen = {interest for each in domains() for interest in each.seen}
    return tuple(interest for interest in domain.kept if interest not in seen)


def _read(path: Path) -> Domain:
    found: Mapping[str, Any] = tomllib.loads(path.read_text())
    values = {
        field.name: _frozen(found[field.name]) for field in fields(Domain) if field.name != "name"
    }
    return Domain(name=path.stem, **values)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value


def kept_apart(act: str, domain: str) -> bool:
    """Whether requests of this kind in this domain are kept for the test: one in six."""
    return blake2b(f"{act} {domain}".encode(), digest_size=4).digest()[0] % 6 == 0
