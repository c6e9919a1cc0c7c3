"""`kill -9` of workers at random moments: every user gets one profile of the newest revision."""

import random
import secrets

from service.config import Settings
from service.embedded import EmbeddedServers
from service.runtime import Runtime
from tests.faults.histories import (
    check_profiles,
    new_events,
    select,
    store_events,
    until_worked_off,
    user_names,
)
from tests.faults.processes import Processes, eventually, service_environment

USERS = 150
KILLS = 4


async def test_killing_workers_leaves_one_profile_a_revision(
    servers: EmbeddedServers,
    settings: Settings,
    runtime: Runtime,
    processes: Processes,
    project_id: str,
) -> None:
    """Two workers at a time; the victim dies while it works, and more events come meanwhile."""
