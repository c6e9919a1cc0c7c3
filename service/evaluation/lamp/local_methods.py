"""The rows of LaMP that take no language model, by name."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from service.evaluation.lamp import ratings
from service.evaluation.lamp.extraction import extractions
from service.evaluation.lamp.floors import floors, past_labels
from service.evaluation.lamp.methods import TRAINED, UNTRAINED
from service.evaluation.lamp.profiles import Profiles
from service.evaluation.lamp.tasks import Kind, Sample, Task
from service.evaluation.lamp.wording import in_own_wording

# Answers by sample id.
Local = Callable[[], dict[str, str]]

_OF_LABELS = ("majority-label", "user-mean", "user-median", "user-mode")
# They know nothing of the user, or no more than the middle of the ratings.
FLOORS = ("copy-input", "first-sentence", *_OF_LABELS)
# By the source of the profiles that they read.
FROM_PROFILES = {f"{source}-ratings": source for source in (UNTRAINED, TRAINED)}
_FROM_HISTORY = "history-ratings"
_EXTRACTIONS = ("first-sentence", "central-sentence", "title-span")
_OWN_WORDING = "own-wording"
_TWEETS = "LaMP_7"
# They need a number of users to learn from.
LEARNED = frozenset({_FROM_HISTORY, *FROM_PROFILES})


def local_names(task: Task) -> tuple[str, ...]:
    """What there is for `task`, floors first."""
    if task.kind is Kind.RATING:
        return (*_OF_LABELS, _FROM_HISTORY, *FROM_PROFILES)
    if task.kind is Kind.CLASSIFICATION:
        # Histories of LaMP_1 hold no labels.
        return ("majority-label",) if task.given == "tag" else ()
    return ("copy-input", _OWN_WORDING) if task.name == _TWEETS else ("copy-input", *_EXTRACTIONS)


def local_methods(
    task: Task,
    samples: Sequence[Sample],
    profiles: Mapping[str, Profiles],
    earlier: Mapping[str, Profiles],
) -> dict[str, Local]:
    """By name. `profiles` by source, and `earlier` ones of the histories without their last entry,
    for those that read profiles."""
    found: dict[str, Local] = {
        name: partial(_each, samples, method)
        for name, method in floors(task, past_labels(task, samples)).items()
    }
    if task.kind is Kind.RATING:
        found[_FROM_HISTORY] = partial(ratings.from_history, task, samples)
        for name, source in FROM_PROFILES.items():
            if source in profiles and source in earlier:
                found[name] = partial(
                    ratings.from_profiles, task, samples, profiles[source], earlier[source]
                )
    elif task.name == _TWEETS:
        found[_OWN_WORDING] = partial(_each, samples, partial(in_own_wording, task))
    elif task.kind is Kind.GENERATION:
        for name, method in extractions(task, samples).items():
            found[name] = partial(_each, samples, method)
    return found


def _each(samples: Sequence[Sample], method: Callable[[Sample], str]) -> dict[str, str]:
    return {sample.sample_id: method(sample) for sample in samples}
