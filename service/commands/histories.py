"""A file of interactions as histories by user, under the same rules as `bump import`."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson

from service.db.interactions import NewInteraction
from service.domain.interaction import Interaction
from service.errors import InvalidBody
from service.flows.import_history import open_lines
from service.flows.ingest import Rejection
from service.flows.parse import parse_line


@dataclass(frozen=True, slots=True)
class HistoryFile:
    """Histories by user id, in the order of the file. `rejected`: lines that are no interaction."""

    histories: dict[str, list[Interaction]]
    rejected: int


def read_histories(path: Path) -> HistoryFile:
    """Read JSON lines, gzip too. A line that comes again (same source and event id) counts once.

    Raises InvalidBody when the file holds no interaction, or is damaged gzip.
    """
    seen: set[tuple[str, str, str]] = set()
    histories: dict[str, list[Interaction]] = {}
    rejected = 0
    try:
        with path.open("rb") as file:
            for line in filter(bytes.strip, open_lines(file)):
                item = parse_line(line, default_event_id=_name(line))
                if isinstance(item, Rejection):
                    rejected += 1
                    continue
                key = (item.user_id, item.source, item.event_id)
                if key not in seen:
                    seen.add(key)
                    histories.setdefault(item.user_id, []).append(_interaction(item))
    except (EOFError, OSError) as error:
        raise InvalidBody(f"{path} cannot be read: {error}.") from error
    if not histories:
        raise InvalidBody(f"{path} holds no interaction ({rejected} lines were rejected).")
    return HistoryFile(histories, rejected)


def _name(line: bytes) -> str:
    return hashlib.blake2b(line, digest_size=12).hexdigest()


def _interaction(item: NewInteraction) -> Interaction:
    return Interaction(
        event_id=item.event_id,
        occurred_at=item.occurred_at or datetime.now(UTC),
        text=item.text,
        source=item.source,
        type=item.type,
        attributes=orjson.loads(item.attributes_json),
    )
