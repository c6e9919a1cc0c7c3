"""Categories and ratings in the attributes that callers send, whatever their shape."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

# Derived, not sent: the decade that a title names.
DECADE = "decade"
MAX_VALUES_PER_ATTRIBUTE = 20
_MAX_ATTRIBUTES = 30
_MAX_NAME_CHARS = 40
_MAX_VALUE_CHARS = 100
_HIGHEST_RATING = 10
# Not "score" or "rate": a post's score and a heart rate are no opinion of the user's.
_RATING_WORDS = frozenset({"rating", "ratings", "stars", "star"})
_FINAL_YEAR = re.compile(r"\((1[89]\d|20\d)\d\)$")
_NAME_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")


class Category(NamedTuple):
    """One value of one string or list attribute, e.g. ("genres", "Drama")."""

    attribute: str
    value: str


def categories(attributes: Mapping[str, Any]) -> Iterator[Category]:
    """String values of `attributes`, lists flattened and without repeats; the rest is left out."""
    seen: set[Category] = set()
    for name, value in list(attributes.items())[:_MAX_ATTRIBUTES]:
        values = value if isinstance(value, list | tuple) else (value,)
        for item in values[:MAX_VALUES_PER_ATTRIBUTE]:
            if not isinstance(item, str) or len(name) > _MAX_NAME_CHARS:
                continue
            text = " ".join(item[:_MAX_VALUE_CHARS].split())
            for category in (Category(name, text), *_decade(text)):
                if category.value and category not in seen:
                    seen.add(category)
                    yield category


def _decade(title: str) -> tuple[Category, ...]:
    """The decade of a title that ends in its year, as films, books and records are listed."""
    year = _FINAL_YEAR.search(title)
    return (Category(DECADE, f"{year.group(1)}0s"),) if year else ()


def rating(attributes: Mapping[str, Any]) -> tuple[str, float] | None:
    """The first number in 0..10 whose attribute is named like a rating, as (name, value)."""
    for name, value in list(attributes.items())[:_MAX_ATTRIBUTES]:
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        named = {part.lower() for part in _NAME_PART.findall(name[:_MAX_NAME_CHARS])}
        if named & _RATING_WORDS and 0 <= value <= _HIGHEST_RATING:
            return name, float(value)
    return None
