"""Runs a Python program whose clock is wrong by so many seconds: `skewed_clock.py SECONDS PROGRAM`.

The kernel has one wall clock for everybody, and no namespace for it, so it cannot be set for one
process. Python reads it through `time.time`, `time.time_ns` and `datetime`; they are replaced here
before anything of the program is imported. Waits and time-outs go by the monotonic clock, which a
wrong wall clock does not touch either.
"""

import datetime
import runpy
import sys
import time

SECONDS = float(sys.argv[1])
SHIFT = datetime.timedelta(seconds=SECONDS)
_time, _time_ns, _datetime = time.time, time.time_ns, datetime.datetime


class _AlsoTheReal(type):
    # Values that C code makes are of the real class.
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, _datetime)


class SkewedDatetime(_datetime, metaclass=_AlsoTheReal):
    __slots__ = ()  # Of the same size as the real one, which compiled modules check.

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
        return _datetime.now(tz) + SHIFT

    @classmethod
    def utcnow(cls) -> datetime.datetime:
        return _datetime.now(datetime.UTC).replace(tzinfo=None) + SHIFT


time.time = lambda: _time() + SECONDS
time.time_ns = lambda: _time_ns() + int(SECONDS * 1e9)
datetime.datetime = SkewedDatetime

if __name__ == "__main__":
    runpy.run_path(sys.argv[2], run_name="__main__")
