"""Methods that take no model: whatever personalises must be better than the best of them."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from statistics import fmean, median

from service.evaluation.lamp.reading import Questions
from service.evaluation.lamp.tasks import Kind, Sample, Task

Method = Callable[[Sample], str]


def floors(task: Task, labels: Iterable[str] = ()) -> dict[str, Method]:
    """By name, the floors of `task`.

    `labels` are answers that are known beforehand, such as `past_labels` or the golds of the
    training split; never those that are scored against. Without them there is no majority.
    """
    if task.kind is Kind.GENERATION:
        return {"copy-input": lambda sample: task.query(sample.input) or ""}
    common = Counter(labels).most_common(1)
    found: dict[str, Method] = {}
    if common:
        majority = common[0][0]
        found["majority-label"] = lambda sample: majority
    if task.kind is Kind.RATING:
        found |= {
            "user-mean": partial(_of_ratings, _rounded_mean),
            "user-median": partial(_of_ratings, median),
            "user-mode": partial(_of_ratings, _mode),
        }
    return found


def past_labels(task: Task, samples: Iterable[Sample]) -> Iterator[str]:
    """The labels in the users' histories; none of LaMP_1, which has none in them."""
    for sample in samples:
        for interaction in sample.history:
            given = task.given_of(interaction)
            if given in task.labels:
                yield given


def predict(method: Method, questions: Questions) -> dict[str, str]:
    """Answers by sample id; those that cannot be asked get an empty one, which scores as none.

    Raises UnreadableData.
    """
    answers = {sample.sample_id: method(sample) for sample in questions}
    return answers | dict.fromkeys(questions.unanswerable, "")


def _of_ratings(middle: Callable[[list[float]], float], sample: Sample) -> str:
    """Nothing of a user without ratings, which scores as no answer does."""
    ratings = [float(interaction.attributes["rating"]) for interaction in sample.history]
    return f"{middle(ratings):g}" if ratings else ""


def _rounded_mean(ratings: list[float]) -> float:
    """A half goes to the even rating."""
    return round(fmean(ratings))


def _mode(ratings: list[float]) -> float:
    """Of equally frequent ratings, the one given last."""
    return Counter(reversed(ratings)).most_common(1)[0][0]
