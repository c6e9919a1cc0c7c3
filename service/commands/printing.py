"""How commands speak: results to standard output, everything else to standard error."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

# No markup: what users call themselves may hold brackets.
out = Console(markup=False)
err = Console(stderr=True)

_NEVER_WRAPPED = ("state", "due", "attempts")


def show_key(key: str, as_json: bool) -> None:
    """Once: whoever looks on must keep it."""
    if as_json:
        print_json({"key": key})
        return
    out.print(key, markup=False, highlight=False, soft_wrap=True)
    err.print("Keep it safe: it is not stored and cannot be shown again.")


def show_rows(rows: Sequence[dict[str, Any]], as_json: bool, *, empty: str) -> None:
    """A table with the columns of the first row, or `empty` where there is none."""
    if as_json:
        print_json(rows)
        return
    if not rows:
        err.print(empty)
        return
    table = Table()
    for name in rows[0]:
        table.add_column(name, overflow="fold", no_wrap=name in _NEVER_WRAPPED)
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    out.print(table)


def show_fields(fields: Mapping[str, Any], indent: str = "  ") -> None:
    """Name and value, a line each; mappings within further in."""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            out.print(f"{indent}{name}:")
            show_fields(value, indent + "  ")
        else:
            out.print(f"{indent}{name}: {_shown(value)}", highlight=False, soft_wrap=True)


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else str(value)


def print_json(value: Any) -> None:
    """On one line; what JSON does not know as text."""
    sys.stdout.write(json.dumps(value, default=str) + "\n")
