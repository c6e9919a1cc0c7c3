"""Training on several processes: what must be done once, for all of them together."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object

Item = TypeVar("Item")
Result = TypeVar("Result")


class OtherRankFailed(Exception):
    """The first process could not do what all wait for; its own traceback says why."""


def once_for_all(
    own: Sequence[Item], compute: Callable[[list[Item]], Sequence[Result]]
) -> list[Result]:
    """`compute` over the items of all processes, in the order of their ranks; our own slice of it.

    TRL hands each process its slice of a step, and the rollouts of one user may lie on both sides
    of a cut. So only the first process computes, over everything: the result is what a single
    process would get, and a judge is asked once. `compute` gives one result an item. Raises what it
    raises, and OtherRankFailed on the processes that only waited for it.
    """
    every = gather_object(list(own))
    sizes = gather_object([len(own)])
    state = PartialState()
    # A failure travels like a result: who waits for the first process would otherwise wait on.
    outcome: list[Sequence[Result] | str] = [""]
    failure: Exception | None = None
    if state.is_main_process:
        try:
            outcome = [compute(every)]
        except Exception as error:
            outcome, failure = [f"{type(error).__name__}: {error}"], error
    broadcast_object_list(outcome)
    if failure:
        raise failure
    results = outcome[0]
    if isinstance(results, str):
        raise OtherRankFailed(results)
    start = sum(sizes[: state.process_index])
    return list(results[start : start + len(own)])
