"""Fictional LaMP files: every task in its published words, small enough to read."""

import json
from pathlib import Path
from typing import Any

QUESTIONS = {
    "LaMP_1": 'For an author who has written the paper with the title "Bees at night", which '
    "reference is related? Just answer with [1] or [2] without explanation. "
    '[1]: "Moths at dusk" [2]: "Traffic in towns"',
    "LaMP_2": "Which tag does this movie relate to among the following tags? Just answer with the "
    "tag name without further explanation. tags: [sci-fi, comedy] description: A robot tells jokes",
    "LaMP_3": "What is the score of the following review on a scale of 1 to 5? just answer with "
    "1, 2, 3, 4, or 5 without further explanation. review: A kettle that whistles",
    "LaMP_4": "Generate a headline for the following article: The river rose at night",
    "LaMP_5": "Generate a title for the following abstract of a paper: We count bees",
    "LaMP_6": "Generate a subject for the following email: Dear all, the lift is broken",
    "LaMP_7": "Paraphrase the following tweet without any explanation before or after it: Tea time",
}
QUERIES = {
    "LaMP_1": "Moths at dusk Traffic in towns",
    "LaMP_2": "A robot tells jokes",
    "LaMP_3": "A kettle that whistles",
    "LaMP_4": "The river rose at night",
    "LaMP_5": "We count bees",
    "LaMP_6": "Dear all, the lift is broken",
    "LaMP_7": "Tea time",
}
ENTRIES = {
    "LaMP_1": {"title": "Bees", "abstract": "They fly"},
    "LaMP_2": {"tag": "comedy", "description": "They laugh"},
    "LaMP_3": {"score": "4", "text": "It boils"},
    "LaMP_4": {"title": "Flood", "text": "It rained"},
    "LaMP_5": {"title": "Bees", "abstract": "They fly"},
    "LaMP_6": {"title": "Lift", "text": "It stands"},
    "LaMP_7": {"text": "More tea"},
}


def question(task: str, sample_id: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"id": sample_id, "input": QUESTIONS[task], "profile": list(entries)}


def entry(task: str, entry_id: str, **fields: Any) -> dict[str, Any]:
    return {"id": entry_id, **ENTRIES[task], **fields}


def reviews(sample_id: str, *scores: int) -> dict[str, Any]:
    entries = (entry("LaMP_3", f"{n}", score=str(score)) for n, score in enumerate(scores))
    return question("LaMP_3", sample_id, *entries)


def write(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def write_golds(path: Path, task: str, **golds: str) -> Path:
    items = [{"id": sample_id, "output": output} for sample_id, output in golds.items()]
    return write(path, {"task": task, "golds": items})
