"""A tweet put into a user's own spelling, without a language model: the floor that adapts."""

import re
from collections import Counter
from collections.abc import Sequence
from statistics import fmean

from service.evaluation.lamp.tasks import Sample, Task

# Of each row, a user has a habit: what stands in the text is replaced by what they write.
_SPELLINGS = (
    ("i am", "i'm", "im"),
    ("i have", "i've", "ive"),
    ("i will", "i'll"),
    ("it is", "it's", "its"),
    ("that is", "that's", "thats"),
    ("what is", "what's", "whats"),
    ("you are", "you're", "youre"),
    ("we are", "we're"),
    ("they are", "they're"),
    ("do not", "don't", "dont"),
    ("did not", "didn't", "didnt"),
    ("does not", "doesn't", "doesnt"),
    ("is not", "isn't", "isnt"),
    ("was not", "wasn't", "wasnt"),
    ("have not", "haven't", "havent"),
    ("will not", "won't", "wont"),
    ("cannot", "can not", "can't", "cant"),
    ("could not", "couldn't", "couldnt"),
    ("would not", "wouldn't", "wouldnt"),
    ("you", "u", "ya"),
    ("your", "ur"),
    ("going to", "gonna"),
    ("want to", "wanna"),
    ("have to", "gotta"),
    ("because", "cause", "cuz", "cos", "coz"),
    ("okay", "ok"),
    ("though", "tho"),
    ("thank you", "thanks", "thx"),
    ("yes", "yeah", "yep"),
)
_LEAST_USES = 2
_MENTION = "@user"
_MENTIONS_OFTEN = 0.5


def in_own_wording(task: Task, sample: Sample) -> str:
    """The input as the user would spell it, with a mention in front of it where most of theirs
    have one."""
    text = task.query(sample.input) or ""
    told = [interaction.text.casefold() for interaction in sample.history]
    if not told:
        return text
    for spellings in _SPELLINGS:
        text = _respelt(text, spellings, told)
    mentions = fmean(_MENTION in one for one in told)
    return f"{_MENTION} {text}" if mentions > _MENTIONS_OFTEN and _MENTION not in text else text


def _respelt(text: str, spellings: Sequence[str], told: Sequence[str]) -> str:
    there = [one for one in spellings if _pattern(one).search(text)]
    if not there:
        return text
    uses = Counter({one: sum(len(_pattern(one).findall(t)) for t in told) for one in spellings})
    habit, most = uses.most_common(1)[0]
    for one in there:
        if most >= _LEAST_USES and most > uses[one]:
            text = _pattern(one).sub(habit, text)
    return text


def _pattern(spelling: str) -> re.Pattern[str]:
    # Not within a longer word or contraction.
    return re.compile(rf"(?<![\w'@]){re.escape(spelling)}(?![\w'])", re.IGNORECASE)
