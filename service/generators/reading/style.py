"""How a text is written, as numbers."""

import math
import re
from enum import IntEnum

_CODE = re.compile(r"`|\w\(\)|^ {4,}\S|^\t\S|(?<!\S)--\w|\$\s?\w+|[{};]\s*$", re.MULTILINE)
_LINK = re.compile(r"https?://|www\.|<url>|<link>")
_PREFIX = re.compile(r"[\w./*()-]+(?:[ ,][\w./*()-]+){0,2}: \S")
_POLITE = re.compile(r"\b(?:please|thanks|thank you|thx|cheers|sorry)\b", re.IGNORECASE)
_FIRST_PERSON = re.compile(r"\b(?:I|I'm|I've|i'm|i've|i|my|My)\b")
_SMILEY = re.compile(r"(?<!\S)[:;=]-?[)(DPp/](?!\w)|[\U0001f300-\U0001faff\u2600-\u27bf]")
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+\S", re.MULTILINE)
_MAX_CHARS = 1_000
_MAX_OPENING_CHARS = 40


class Style(IntEnum):
    """Positions in a style vector; all but WORDS are 0 or 1 for one text."""

    WORDS = 0  # log(1 + number of words)
    QUESTION = 1
    EXCLAMATION = 2
    CODE = 3
    LINK = 4
    PREFIX = 5  # "subject: message"
    POLITE = 6
    FIRST_PERSON = 7
    SMILEY = 8
    BULLET = 9
    LOWERCASE = 10  # starts with a small letter


def opening_of(text: str) -> str:
    """What stands before the colon in "subject: message", or "" without that convention."""
    opening = _PREFIX.match(text[:_MAX_OPENING_CHARS])
    return opening.group().partition(": ")[0] if opening else ""


def style_of(text: str) -> tuple[float, ...]:
    """The style vector of one text (its first 1,000 characters, except for the length)."""
    head = text[:_MAX_CHARS]
    return (
        math.log1p(len(text.split())),
        float("?" in head),
        float("!" in head),
        float(_CODE.search(head) is not None),
        float(_LINK.search(head) is not None),
        float(_PREFIX.match(head) is not None),
        float(_POLITE.search(head) is not None),
        float(_FIRST_PERSON.search(head) is not None),
        float(_SMILEY.search(head) is not None),
        float(_BULLET.search(head) is not None),
        float(head[:1].islower()),
    )
