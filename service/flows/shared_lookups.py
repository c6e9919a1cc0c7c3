"""Reads of Postgres that share a transaction: who asks while one runs goes with the next.

While the cache is away, every read comes here. With a transaction each, most of the work would be
to begin, bind and end them.
"""

import asyncio
from collections import Counter

from service.db import profiles
from service.db.session import Database
from service.domain.profile import Profile

# More than one, so that a connection that hangs does not hold up a whole project.
_MAX_RUNNING = 4

Found = tuple[Profile, int] | None


class SharedLookups:
    """Serving profiles, for the readers of one process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[str, dict[str, asyncio.Future[Found]]] = {}
        self._running: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def find(self, project_id: str, user_id: str) -> Found:
        """The serving profile and its user's newest revision; None without, or when paused.

        Raises DatabaseUnavailable.
        """
        waiting = self._waiting.setdefault(project_id, {})
        if user_id not in waiting:
            waiting[user_id] = asyncio.get_running_loop().create_future()
            self._run(project_id)
        # Shielded: whoever leaves must not take it from those who wait for the same user.
        return await asyncio.shield(waiting[user_id])

    def _run(self, project_id: str) -> None:
        if self._running[project_id] < _MAX_RUNNING:
            self._running[project_id] += 1
            task = asyncio.create_task(self._answer_all(project_id))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer_all(self, project_id: str) -> None:
        while batch := self._waiting.pop(project_id, None):
            try:
                async with self._database.transaction(project_id) as tx:
                    found = await profiles.served(tx, list(batch))
            except Exception as error:
                for answer in batch.values():
                    answer.set_exception(error)
            else:
                for user_id, answer in batch.items():
                    answer.set_result(found.get(user_id))
        # Here and not when the task is done, which others learn later: who asks in between would
        # count on it.
        self._running[project_id] -= 1
