"""What `bump doctor` says of one thing that it looked at."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`error`: it does not work; `warning`: not as it should. `advice`: what to do next."""

    check: str
    state: State
    found: str
    advice: str = ""
