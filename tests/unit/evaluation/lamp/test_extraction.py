"""Titles made of the words of an abstract."""

from service.evaluation.lamp.extraction import extractions
from service.evaluation.lamp.tasks import TASKS, Sample
from tests.unit.evaluation.lamp.histories import papers

PAPERS = TASKS["LaMP_5"]
ABSTRACT = (
    "Many people like honey. In this paper, we present a corpus of bee dances with gestures. "
    "Bee dances are hard to annotate."
)


def asked(*titles: str) -> Sample:
    return papers(*((title, "Ants walk far.") for title in titles), abstract=ABSTRACT)


def extracted(name: str, sample: Sample) -> str:
    return extractions(PAPERS, [sample])[name](sample)


def test_the_first_sentence_is_the_first() -> None:
    assert extracted("first-sentence", asked("Ants")) == "Many people like honey."


def test_the_central_sentence_shares_most_with_the_others() -> None:
    assert extracted("central-sentence", asked("Ants")) == "Bee dances are hard to annotate."


def test_a_span_is_as_long_as_the_users_titles_and_ends_in_no_stopword() -> None:
    found = extracted("title-span", asked("Ants on the long road", "A map of ant trails"))
    assert 2 < len(found.split()) <= 5
    assert found.split()[0] not in ("a", "of", "with")
    assert found.split()[-1] not in ("a", "of", "with")


def test_a_span_follows_what_the_paper_announces() -> None:
    assert "corpus of bee dances" in extracted("title-span", asked("A corpus of tall grass"))


def test_without_a_history_there_is_still_a_title() -> None:
    assert extracted("title-span", asked()) in ABSTRACT


def test_a_text_of_stopwords_alone_is_its_own_title() -> None:
    sample = papers(("Ants", "Ants walk."), abstract="It is of the")
    assert extracted("title-span", sample) == "It is of the"
