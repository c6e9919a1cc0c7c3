"""Samples with a history, in as few words as a test needs."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from service.domain.interaction import Interaction
from service.evaluation.lamp.tasks import TASKS, Sample
from tests.unit.evaluation.lamp.files import QUESTIONS

_START = datetime(2026, 1, 1, tzinfo=UTC)


def sample(
    entries: Iterable[tuple[str, float]], *, sample_id: str = "1", question: str | None = None
) -> Sample:
    """Of LaMP_3, from items and their ratings."""
    task = TASKS["LaMP_3"]
    history = tuple(
        Interaction(
            f"{sample_id}-{place}",
            _START + timedelta(days=place),
            task.text(text, rating),
            "lamp",
            task.type,
            {"rating": float(rating)},
        )
        for place, (text, rating) in enumerate(entries)
    )
    return Sample(sample_id, question or QUESTIONS["LaMP_3"], history)


def tweets(*texts: str, asked: str = "Tea time", sample_id: str = "1") -> Sample:
    """Of LaMP_7."""
    history = tuple(
        Interaction(f"{sample_id}-{n}", _START + timedelta(days=n), text, "lamp", "tweet")
        for n, text in enumerate(texts)
    )
    question = f"Paraphrase the following tweet without any explanation before or after it: {asked}"
    return Sample(sample_id, question, history)


def papers(*entries: tuple[str, str], abstract: str, sample_id: str = "1") -> Sample:
    """Of LaMP_5, from titles and abstracts."""
    task = TASKS["LaMP_5"]
    history = tuple(
        Interaction(
            f"{sample_id}-{n}",
            _START + timedelta(days=n),
            task.text(body, title),
            "lamp",
            task.type,
            {"title": title},
        )
        for n, (title, body) in enumerate(entries)
    )
    question = f"Generate a title for the following abstract of a paper: {abstract}"
    return Sample(sample_id, question, history)
