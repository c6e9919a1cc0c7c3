"""LaMP's seven tasks: what is asked, what an entry of a history holds, how answers are scored.

Labels, fields and markers are those of the published files and of the repository
LaMP-Benchmark/LaMP (`eval/evaluation.py`, `LaMP/data/datasets.py`, `LaMP/prompts`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import fmean

from service.domain.interaction import Interaction
from service.evaluation.metrics import Pair, accuracy, macro_f1, mae, rmse, rouge_1, rouge_l

_QUOTED = re.compile(r'"([^"]*)"')


class Kind(Enum):
    CLASSIFICATION = "classification"
    RATING = "rating"
    GENERATION = "generation"


@dataclass(frozen=True, slots=True)
class Sample:
    """One question about one user. `history` is in time order, older than the question."""

    sample_id: str
    input: str
    history: tuple[Interaction, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """One of the seven.

    `body` and `given` are LaMP's fields of an entry: its text, and what stands beside it (None in
    LaMP_7). `given` becomes the `attribute` of an interaction, whose text is `heading` and body.
    `document` is what retrieval reads of it. `marker` ends the instruction of an input; None where
    quotes do (LaMP_1).
    """

    name: str
    kind: Kind
    type: str
    body: str
    given: str | None
    attribute: str | None
    heading: str
    document: str
    marker: str | None
    labels: tuple[str, ...] = ()

    def text(self, body: str, given: str | float | None) -> str:
        """The text of an interaction."""
        return self._heading(given) + body

    def body_of(self, interaction: Interaction) -> str:
        """LaMP's own text of an entry, without what was put before it."""
        return interaction.text.removeprefix(self._heading(self.given_of(interaction)))

    def given_of(self, interaction: Interaction) -> str | None:
        """What stands beside the text (title, tag or rating), as LaMP writes it."""
        given = interaction.attributes.get(self.attribute) if self.attribute else None
        return None if given is None else _as_written(given)

    def document_of(self, interaction: Interaction) -> str:
        """What retrieval reads of an interaction."""
        given, body = self.given_of(interaction), self.body_of(interaction)
        return self.document.format(given=given, body=body)

    def query(self, question: str) -> str | None:
        """The part of an input that follows the instruction: what retrieval asks for.

        Of LaMP_1 the two references. None for an input that is not of this task.
        """
        if self.marker is None:
            quoted = _QUOTED.findall(question)
            return f"{quoted[1]} {quoted[2]}" if len(quoted) > 2 else None
        _, marker, rest = question.partition(self.marker)
        return rest.strip() if marker else None

    def scores(self, pairs: Sequence[Pair]) -> dict[str, float]:
        """The published metrics by name. Raises ValueError without pairs and for unknown golds."""
        match self.kind:
            case Kind.CLASSIFICATION:
                return {
                    "accuracy": accuracy(pairs, self.labels),
                    "f1": macro_f1(pairs, self.labels),
                }
            case Kind.RATING:
                return {"mae": mae(pairs), "rmse": rmse(pairs)}
            case Kind.GENERATION:
                return {"rouge-1": fmean(rouge_1(pairs)), "rouge-L": fmean(rouge_l(pairs))}

    def _heading(self, given: str | float | None) -> str:
        return self.heading.format(given=None if given is None else _as_written(given))


def _as_written(given: str | float) -> str:
    return given if isinstance(given, str) else f"{given:g}"


_TITLED = "{given}\n"
_TITLE_AND_BODY = "{given} {body}"
_BODY = "{body}"

_CITATIONS = Task(
    name="LaMP_1",
    kind=Kind.CLASSIFICATION,
    type="paper",
    body="abstract",
    given="title",
    attribute="title",
    heading=_TITLED,
    document=_TITLE_AND_BODY,
    marker=None,
    labels=("[1]", "[2]"),
)
_MOVIES = Task(
    name="LaMP_2",
    kind=Kind.CLASSIFICATION,
    type="movie",
    body="description",
    given="tag",
    attribute="tag",
    heading="Tagged {given}: ",
    document=_BODY,
    marker="description:",
    labels=(
        *("sci-fi", "based on a book", "comedy", "action", "twist ending", "dystopia"),
        *("dark comedy", "classic", "psychology", "fantasy", "romance", "thought-provoking"),
        *("social commentary", "violence", "true story"),
    ),
)
_REVIEWS = Task(
    name="LaMP_3",
    kind=Kind.RATING,
    type="review",
    body="text",
    given="score",
    attribute="rating",
    heading="Rated {given}/5: ",
    document=_BODY,
    marker="review:",
    labels=("1", "2", "3", "4", "5"),
)
_NEWS = Task(
    name="LaMP_4",
    kind=Kind.GENERATION,
    type="article",
    body="text",
    given="title",
    attribute="title",
    heading=_TITLED,
    document=_TITLE_AND_BODY,
    marker="article:",
)
_PAPERS = Task(
    name="LaMP_5",
    kind=Kind.GENERATION,
    type="paper",
    body="abstract",
    given="title",
    attribute="title",
    heading=_TITLED,
    document=_TITLE_AND_BODY,
    marker="paper:",
)
_EMAILS = Task(
    name="LaMP_6",
    kind=Kind.GENERATION,
    type="email",
    body="text",
    given="title",
    attribute="title",
    heading=_TITLED,
    document=_BODY,
    marker=":",
)
_TWEETS = Task(
    name="LaMP_7",
    kind=Kind.GENERATION,
    type="tweet",
    body="text",
    given=None,
    attribute=None,
    heading="",
    document=_BODY,
    marker=":",
)

TASKS = {
    task.name: task for task in (_CITATIONS, _MOVIES, _REVIEWS, _NEWS, _PAPERS, _EMAILS, _TWEETS)
}
