"""Stream a file of interactions through the same ingest as the API, in large batches."""

import gzip
import hashlib
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BufferedReader
from itertools import islice
from pathlib import Path

from service.cache import ProfileCache
from service.db.interactions import NewInteraction, RegenerationPolicy
from service.db.session import Database
from service.flows.ingest import ItemStatus, Rejection, ingest
from service.flows.parse import parse_line

BATCH_LINES = 1_000
_SHOWN_REJECTIONS = 10
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(slots=True)
class ImportReport:
    """What an import did so far. `lines` counts all lines that are done with."""

    lines: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    users: set[str] = field(default_factory=set)
    first_rejections: list[tuple[int, str]] = field(default_factory=list)


def open_lines(file: BufferedReader) -> BufferedReader | gzip.GzipFile:
    """The file itself, or what it holds if that is gzip (told by its first bytes)."""
    return gzip.GzipFile(fileobj=file) if file.peek(2)[:2] == _GZIP_MAGIC else file


def fingerprint(path: Path, project_id: str) -> str:
    """Names a file's content for a project by its size and first megabyte."""
    with path.open("rb") as file:
        head = file.read(1_000_000)
    size = path.stat().st_size
    return hashlib.blake2b(f"{project_id}:{size}:".encode() + head, digest_size=12).hexdigest()


async def import_history(
    database: Database,
    cache: ProfileCache,
    project_id: str,
    lines: Iterable[bytes],
    policy: RegenerationPolicy,
    *,
    skip: int = 0,
) -> AsyncGenerator[ImportReport, None]:
    """Ingest JSON lines, yielding the running report after each committed batch.

    Safe to repeat: a line without `event_id` gets one from its content. `skip` lines at the
    start are passed over, for an import that goes on. Raises DatabaseUnavailable; what was
    yielded before is stored.
    """
    report = ImportReport(lines=skip)
    numbered = islice(enumerate(lines, start=1), skip, None)
    while batch := list(islice(numbered, BATCH_LINES)):
        items = [(number, _parse(line)) for number, line in batch if line.strip()]
        result = await ingest(database, cache, project_id, [item for _, item in items], policy)
        report.lines = batch[-1][0]
        report.accepted += result.count(ItemStatus.ACCEPTED)
        report.duplicates += result.count(ItemStatus.DUPLICATE)
        report.rejected += result.count(ItemStatus.REJECTED)
        report.users.update(result.revisions)
        report.first_rejections.extend(_rejections(items))
        del report.first_rejections[_SHOWN_REJECTIONS:]
        yield report


def _parse(line: bytes) -> NewInteraction | Rejection:
    return parse_line(line, default_event_id=hashlib.blake2b(line, digest_size=12).hexdigest())


def _rejections(
    items: Sequence[tuple[int, NewInteraction | Rejection]],
) -> Iterator[tuple[int, str]]:
    for number, item in items:
        if isinstance(item, Rejection):
            yield number, item.reason
