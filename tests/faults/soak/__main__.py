"""`make soak`: half an hour of faults, or `SECONDS=…`, with the faults of `SEED=…`."""

import argparse
import asyncio
import secrets
import sys
import tempfile
from pathlib import Path

from tests.faults.soak.soak import soak

HALF_AN_HOUR = 1_800.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="make soak")
    parser.add_argument("--seconds", type=float, default=HALF_AN_HOUR)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    arguments = parser.parse_args()
    logs = Path(tempfile.mkdtemp(prefix="bump-soak-"))
    say(f"{arguments.seconds:.0f} s with seed {arguments.seed}; logs of all processes in {logs}")
    report = asyncio.run(soak(arguments.seconds, arguments.seed, logs))
    say(str(report))
    if report.wrong:
        sys.exit(1)
    say("Nothing is lost, nothing is twice, nothing is wrong.")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
