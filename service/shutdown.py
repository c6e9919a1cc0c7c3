"""How every process takes signals: the first asks it to end in order, a later one ends it."""

import asyncio
import signal
from collections.abc import Callable, Iterable
from types import FrameType

REPEAT_SECONDS = 1.0


def drain_on_signals(numbers: Iterable[signal.Signals], drain: Callable[[], object]) -> None:
    """Let the running loop call `drain` on the first of these signals. On the main thread only.

    What follows within REPEAT_SECONDS is the same request, for supervisors signal a whole group
    and then each of its members. After that the system's default holds: the process ends at once.
    """
    loop = asyncio.get_running_loop()
    watched = tuple(numbers)
    draining = False

    def restore() -> None:
        for number in watched:
            signal.signal(number, signal.SIG_DFL)

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        nonlocal draining
        if draining:
            return
        draining = True
        loop.call_soon_threadsafe(drain)
        loop.call_soon_threadsafe(loop.call_later, REPEAT_SECONDS, restore)

    for number in watched:
        signal.signal(number, on_signal)
