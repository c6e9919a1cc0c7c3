"""Words around what was measured: lists, counts, verbs, and user text made safe to quote."""

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

MAX_QUOTE_CHARS = 80
# Far more than is quoted: an address that is cut in two is not known for one.
_MAX_CHARS_READ = 2_000
_MIN_QUOTE_CHARS, _ENOUGH_QUOTE_CHARS = 12, 30

_CONTROL = re.compile(r"<\|[^|>]*\|?>?|</?\w+>|\[/?[A-Z]{3,}\]|^#+\s*|```+")
_PRIVATE = re.compile(
    r"@*+[^\s@]++@\S+\.\w+|(?:https?|ftp)://\S+|www\.\S+|<(?:email|url|phone|user)>|(?<!\w)@\w[\w.-]*:?"
    r"|(?<!\w)/?u/\w+",
    re.IGNORECASE,
)
_SLUG = re.compile(r"(?=.*[a-z])[a-z0-9]+(?:[-_][a-z0-9]+)+")
_SENTENCE_END = re.compile(r"(?<=[.!?\u3002\uff01\uff1f])\s")


class Activity(NamedTuple):
    """How to speak of interactions of one type: someone "works on" a subject in a "commit"."""

    verb: str
    noun: str

    @property
    def nouns(self) -> str:
        return plural(self.noun)

    @property
    def infinitive(self) -> str:
        verb, space, preposition = self.verb.partition(" ")
        stem = verb[:-2] if verb.endswith(("ches", "shes")) else verb[:-1]
        return f"{stem}{space}{preposition}"


_ACTIVITIES = {
    "answer": Activity("answers questions on", "answer"),
    "article": Activity("writes about", "article"),
    "ask": Activity("asks about", "question"),
    "booking": Activity("books", "booking"),
    "chat": Activity("talks about", "message"),
    "comment": Activity("comments on", "comment"),
    "commit": Activity("works on", "commit"),
    "issue": Activity("works on", "issue"),
    "like": Activity("likes", "like"),
    "listen": Activity("listens to", "play"),
    "message": Activity("talks about", "message"),
    "note": Activity("writes about", "note"),
    "order": Activity("orders", "order"),
    "paper": Activity("writes about", "paper"),
    "play": Activity("plays", "play"),
    "post": Activity("posts about", "post"),
    "prompt": Activity("asks about", "prompt"),
    "purchase": Activity("buys", "purchase"),
    "query": Activity("searches for", "search"),
    "question": Activity("asks about", "question"),
    "rating": Activity("comes back to", "rating"),
    "read": Activity("reads about", "read"),
    "review": Activity("reviews", "review"),
    "search": Activity("searches for", "search"),
    "task": Activity("works on", "task"),
    "ticket": Activity("writes about", "ticket"),
    "view": Activity("looks at", "view"),
    "watch": Activity("watches", "view"),
    "workout": Activity("trains", "workout"),
}
_NUMBERS = ("no", "one", "two", "three", "four")
NEUTRAL = Activity("brings up", "interaction")


def activity(types: Sequence[str]) -> Activity:
    """How to speak of interactions of these types; neutral when they are mixed or unknown."""
    distinct = set(types)
    if len(distinct) != 1:
        return NEUTRAL
    parts = re.split(r"[^a-z]+", distinct.pop().lower())
    known = (_ACTIVITIES.get(part.removesuffix("s")) for part in reversed(parts))
    return next(filter(None, known), NEUTRAL)


def listed(parts: Sequence[str], conjunction: str = "and") -> str:
    """Join as in prose: "a", "a and b", "a, b and c"."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {conjunction} {parts[-1]}"


def quoted(parts: Sequence[str]) -> str:
    return listed([f'"{part}"' for part in parts])


def spoken(value: str) -> str:
    """A slug ("baby-sleep", "data_modelling") with spaces; anything else as it is."""
    return re.sub("[-_]", " ", value) if _SLUG.fullmatch(value) else value


def plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return noun + ("es" if noun.endswith(("ch", "sh", "s", "x")) else "s")


def article(noun: str) -> str:
    return "an" if noun[:1] in "aeiou" else "a"


def capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def is_conversation(types: Sequence[str]) -> bool:
    return activity(types).noun == "message"


def number_word(count: int) -> str:
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)


def percent(share: float) -> str:
    return f"{share * 100:.0f}%"


def plain(text: str) -> str:
    """User text on one line, without addresses, links, handles, control tokens or controls."""
    spaced = _CONTROL.sub(" ", _PRIVATE.sub(" ", text))
    kept = spaced
    if not spaced.isprintable() or not spaced.isascii():
        kept = "".join(c if unicodedata.category(c)[0] not in "CZ" else " " for c in spaced)
    return " ".join(kept.replace('"', "'").split())


def quote(text: str, max_chars: int = MAX_QUOTE_CHARS) -> str:
    """The start of `text` in double quotes, cut where a sentence or word ends; "" if too short."""
    first_line = next(
        filter(None, (plain(line) for line in text[:_MAX_CHARS_READ].splitlines())), ""
    )
    cut = first_line
    for sentence_end in _SENTENCE_END.finditer(first_line):
        if sentence_end.start() >= _ENOUGH_QUOTE_CHARS:
            cut = first_line[: sentence_end.start()]
            break
    if len(cut) > max_chars:
        start = cut[: max_chars - 1]
        cut = (start.rpartition(" ")[0] or start).rstrip(" ,;:-") + "…"
    return f'"{cut.rstrip(" .,;:-")}"' if len(cut) >= _MIN_QUOTE_CHARS else ""


def excerpt(text: str, max_chars: int) -> str:
    """The start of `text` in double quotes, whatever its lines, cut where a word ends."""
    start = plain(text[:_MAX_CHARS_READ])
    if len(start) > max_chars:
        start = (start[:max_chars].rpartition(" ")[0] or start[:max_chars]).rstrip(" ,;:-") + "…"
    return f'"{start}"'
