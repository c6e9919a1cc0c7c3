"""Export what is held about a user (GDPR, article 20), page by page.

No transaction stays open between two pages, however slowly they are read. The first one fixes what
belongs to the export: what comes later is left out, and an erasure meanwhile ends it.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from service.db import interactions, profiles, users
from service.db.session import Database
from service.db.users import UserRecord
from service.domain.interaction import Interaction, history_order
from service.domain.profile import Corrections, Profile
from service.errors import ExportCutShort, UserNotFound

PAGE_SIZE = 500


@dataclass(frozen=True, slots=True)
class Export:
    """What is held about `user` as of one moment; the two lists are newest first."""

    user: UserRecord
    corrections: Corrections
    newest_version: int
    _database: Database
    _project_id: str

    async def profiles(self) -> AsyncIterator[list[Profile]]:
        """All versions, in pages. Raises ExportCutShort when the user is erased meanwhile."""
        before = self.newest_version + 1
        while before > 1:
            async with self._database.transaction(self._project_id) as tx:
                page = await profiles.versions(
                    tx, self.user.user_id, before=before, limit=PAGE_SIZE
                )
            if not page:
                raise ExportCutShort
            yield page
            before = page[-1].version

    async def interactions(self) -> AsyncIterator[list[Interaction]]:
        """The history, in pages. Raises ExportCutShort when the user is erased meanwhile."""
        before, left = None, self.user.interaction_count
        while left > 0:
            async with self._database.transaction(self._project_id) as tx:
                page = await interactions.page_before(
                    tx,
                    self.user.user_id,
                    before=before,
                    limit=PAGE_SIZE,
                    revision=self.user.revision,
                )
            if not page:
                raise ExportCutShort
            yield page
            before, left = history_order(page[-1]), left - len(page)


async def open_export(database: Database, project_id: str, user_id: str) -> Export:
    """What there is to export now. Raises UserNotFound."""
    async with database.transaction(project_id) as tx:
        user = await users.find(tx, user_id)
        if user is None:
            raise UserNotFound
        newest = await profiles.newest(tx, user_id)
        return Export(
            user=user,
            corrections=await profiles.find_corrections(tx, user_id),
            newest_version=newest.version if newest else 0,
            _database=database,
            _project_id=project_id,
        )
