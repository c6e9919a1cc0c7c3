"""Becomes a server: `python launch.py PARENT_PID DEATH_SIGNAL UID GID COMMAND...`

A program of its own instead of `preexec_fn`, which may deadlock in a process with threads. It
imports nothing of ours: it runs under `-I -S`, so that it costs some ten milliseconds.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(watch: list[str], command: list[str]) -> None:
    parent, death_signal, uid, gid = map(int, watch)
    os.umask(0o077)
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        # After setuid, which clears it; exec of an ordinary binary keeps it.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent died before it could be watched")
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:5], sys.argv[5:])
