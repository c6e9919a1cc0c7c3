"""How a text is written, as numbers."""

import math
import re
from enum import IntEnum

_PREFIX = re.compile(r"[\w./*()-]+(?:[ ,][\w./*()-]+){0,2}: \S")
_EMOJI = re.compile("[\U0001f300-\U0001faff\u2600-\u27bf]")
_CODE = ("`", "()", "\n    ", "\n\t", " --", "${", "sudo ")
_LINKS = ("://", "www.", "<url>", "<link>")
_POLITE = ("please", "thank", "thx", "sorry", "cheers")
_FIRST_PERSON = (" i ", " i'", " my ", " me ")
_SMILEYS = (":)", ":-)", ";)", ";-)", ":(", ":-(", ":D", ":P", ":p", "=)")
_BULLETS = ("\n- ", "\n* ", "\n • ", "\n• ", "\n - ", "\n * ", "\n1. ", "\n1) ")
# Manner shows early; substrings, as this runs over every text of a history.
_MAX_CHARS = 300
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
    """The style vector of one text (its first 300 characters, except for the length)."""
    head = text[:_MAX_CHARS]
    lower = f" {head.lower()} "
    return (
        math.log1p(text.count(" ") + text.count("\n") + 1 if text else 0),
        float("?" in head),
        float("!" in head),
        _holds(head, _CODE),
        _holds(lower, _LINKS),
        float(_PREFIX.match(head) is not None),
        _holds(lower, _POLITE),
        _holds(lower, _FIRST_PERSON),
        _holds(head, _SMILEYS) or float(not head.isascii() and bool(_EMOJI.search(head))),
        _holds("\n" + head, _BULLETS),
        float(head[:1].islower()),
    )


def _holds(text: str, marks: tuple[str, ...]) -> float:
    for mark in marks:
        if mark in text:
            return 1.0
    return 0.0
