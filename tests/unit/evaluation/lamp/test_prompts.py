"""LaMP's prompts with retrieved entries, and the room that each entry gets."""

from datetime import UTC, datetime

import pytest

from service.domain.interaction import Interaction
from service.evaluation.lamp.prompts import NoRoom, VocabularyTokenizer, retrieval_prompt
from service.evaluation.lamp.tasks import TASKS
from tests.unit.evaluation.lamp.files import ENTRIES, QUESTIONS

_THEN = datetime(2026, 1, 1, tzinfo=UTC)


class Words:
    """A token a word, and one more at the end of every text."""

    def count(self, text: str) -> int:
        return len(text.split()) + 1

    def truncate(self, text: str, max_tokens: int) -> tuple[str, int]:
        if max_tokens < 1:
            raise NoRoom
        kept = text.split()[: max_tokens - 1]
        return " ".join(kept), len(kept) + 1


def interaction(name: str, **fields: str) -> Interaction:
    task, told = TASKS[name], ENTRIES[name] | fields
    given = told[task.given] if task.given else None
    attributes = {task.attribute: given} if task.attribute else {}
    return Interaction("1", _THEN, task.text(told[task.body], given), attributes=attributes)


def prompt(name: str, *retrieved: Interaction, max_tokens: int = 1_000) -> str:
    return retrieval_prompt(TASKS[name], QUESTIONS[name], retrieved, Words(), max_tokens)


@pytest.mark.parametrize(
    ("name", "before"),
    [
        (
            "LaMP_2",
            'the tag for the movie: "They laugh" is "comedy" , and '
            'the tag for the movie: "They laugh" is "comedy" . ',
        ),
        ("LaMP_3", '4 is the score for "It boils" , and 4 is the score for "It boils" . '),
        (
            "LaMP_4",
            '"Flood" is the title for "It rained" , and "Flood" is the title for "It rained" . ',
        ),
        (
            "LaMP_5",
            '"Bees" is a title for "They fly" , and "Bees" is a title for "They fly" . '
            "Following the given patterns ",
        ),
        (
            "LaMP_6",
            '"Lift" is the title for "It stands" , and "Lift" is the title for "It stands" . ',
        ),
        (
            "LaMP_7",
            '"More tea" , and "More tea"  are written by a person. Following the given patterns ',
        ),
    ],
)
def test_entries_stand_before_the_question_in_published_words(name: str, before: str) -> None:
    assert prompt(name, *[interaction(name)] * 2) == before + QUESTIONS[name]


def test_citations_name_the_users_titles_beside_the_one_in_question() -> None:
    found = prompt("LaMP_1", interaction("LaMP_1"), interaction("LaMP_1", title="Wasps"))
    assert found.startswith(
        'For an author who has written the paper with the title, and "Bees", and "Wasps" '
        '"Bees at night", which reference is related?'
    )


@pytest.mark.parametrize("name", list(TASKS))
def test_nothing_retrieved_is_the_question_alone(name: str) -> None:
    assert prompt(name) == QUESTIONS[name]


def test_a_long_entry_is_cut_and_its_frame_stays() -> None:
    long = interaction("LaMP_4", text="word " * 500)
    found = prompt("LaMP_4", long, max_tokens=40)
    # Of 40, 13 for the question, 1 kept back, 8 for the frame and 1 for the end of the body.
    assert found.count("word") == 17
    assert found.startswith('"Flood" is the title for "word word')
    assert found.endswith(QUESTIONS["LaMP_4"])


def test_what_a_short_entry_leaves_goes_to_the_next() -> None:
    short, long = interaction("LaMP_7", text="Tea"), interaction("LaMP_7", text="word " * 500)
    alone = prompt("LaMP_7", long, long, max_tokens=80).split(" , and ")[1].count("word")
    beside = prompt("LaMP_7", short, long, max_tokens=80).split(" , and ")[1].count("word")
    assert beside > alone


def test_a_long_question_gives_way_until_the_frames_fit() -> None:
    long = interaction("LaMP_3", text="word " * 500)
    assert prompt("LaMP_3", long, max_tokens=14).startswith("4 is the score for")


def test_frames_that_never_fit_leave_the_question_alone() -> None:
    assert prompt("LaMP_3", interaction("LaMP_3"), max_tokens=5) == QUESTIONS["LaMP_3"]


def test_a_vocabulary_cuts_at_a_token_and_counts_what_is_added() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {"</s>": 0, "tea": 1, "at": 2, "noon": 3}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="</s>"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    inner.post_processor = tokenizers.processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 0)]
    )
    tokenizer = VocabularyTokenizer(inner)
    assert tokenizer.count("tea at noon") == 4
    assert tokenizer.truncate("tea at noon", 3) == ("tea at", 3)
    with pytest.raises(NoRoom):
        tokenizer.truncate("tea", 0)
