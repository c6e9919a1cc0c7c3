"""A database that counts."""

from contextlib import AbstractAsyncContextManager

from service.db.session import Database, Transaction


class CountingDatabase(Database):
    """Counts the transactions that it opens on another database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.transactions = 0

    def transaction(self, project_id: str) -> AbstractAsyncContextManager[Transaction]:
        self.transactions += 1
        return self._database.transaction(project_id)
