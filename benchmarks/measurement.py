"""What a benchmark found, held against a limit of the same run and a target of the design."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Target:
    """What must hold: of the value itself, or of its ratio to the limit."""

    of: Literal["value", "ratio"]
    relation: Literal[">=", "<="]
    bound: float

    def __str__(self) -> str:
        return f"{self.of} {self.relation} {self.bound:g}"

    def met(self, value: float, ratio: float) -> bool:
        found = value if self.of == "value" else ratio
        return found >= self.bound if self.relation == ">=" else found <= self.bound


@dataclass(frozen=True, slots=True)
class Measurement:
    """One figure. `limit` has the same unit, from the same run; `peer` is what others reach.

    Without a target the figure is reported and not judged.
    """

    name: str
    value: float
    unit: str
    limit: float
    target: Target | None = None
    peer: str | None = None

    @property
    def ratio(self) -> float:
        return self.value / self.limit

    @property
    def met(self) -> bool | None:
        return self.target.met(self.value, self.ratio) if self.target else None

    def to_json(self) -> dict[str, Any]:
        return {
            "value": _rounded(self.value),
            "unit": self.unit,
            "limit": _rounded(self.limit),
            "ratio": _rounded(self.ratio),
            "target": str(self.target) if self.target else None,
            "met": self.met,
            "peer": self.peer,
        }


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of an ascending, non-empty sequence lies."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _rounded(number: float) -> float:
    return float(f"{number:.4g}")
