"""Background word lists, read once from the text files beside this module.

`STOPWORDS` are never part of a phrase, `COMMON` words rarely a subject of their own, and
`GIVEN_NAMES` are left out because a profile names nobody. All are in small letters.
"""

from importlib.resources import files


def _words(name: str) -> frozenset[str]:
    text = files("service.generators.reading").joinpath("words", name).read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return frozenset(word for line in lines for word in line.split())


STOPWORDS = _words("stopwords.txt")
COMMON = _words("common.txt")
GIVEN_NAMES = _words("given_names.txt")
