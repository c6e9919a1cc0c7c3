"""Background word lists, read once from the text files beside this module.

`STOPWORDS` are never part of a phrase, `COMMON` words rarely a subject of their own, and
`GIVEN_NAMES` are left out because a profile names nobody. The rest stand right before or after
nouns, or other words, and so tell which is which. All are in small letters.
"""

from importlib.resources import files


def _words(name: str) -> frozenset[str]:
    text = files("service.generators.reading").joinpath("words", name).read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return frozenset(word for line in lines for word in line.split())


STOPWORDS = _words("stopwords.txt")
COMMON = _words("common.txt")
GIVEN_NAMES = _words("given_names.txt")
BEFORE_NOUN, AFTER_NOUN = _words("before_noun.txt"), _words("after_noun.txt")
BEFORE_OTHER, AFTER_OTHER = _words("before_other.txt"), _words("after_other.txt")
