"""What every generator is: one history in, a draft out."""

from collections.abc import Sequence
from typing import Protocol

from service.domain.interaction import Interaction
from service.domain.profile import Draft
from service.generators.population import Population


class Generator(Protocol):
    """Writes profiles. `name` is stored with every version it writes."""

    name: str

    async def write(self, history: Sequence[Interaction], population: Population) -> Draft:
        """A draft from `history` (oldest first), seen against the project's population."""
        ...
