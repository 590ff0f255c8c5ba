"""Before the first sealed run on a machine its kernels are compiled, once for all runs.

A sealed run reads compiled kernels and can keep none: without this each would compile all that it calls, within its own seconds.
Invariant: they are compiled by small runs of shipped methods alone (`relbench_harness.warming`), never by a method that is to be sealed.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import socket
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

from relbench_harness.data.cache import cache_home
from relbench_harness.home import home

log = logging.getLogger(__name__)
MODULE = "relbench_harness.warming"
MOST_SECONDS = 900.0


def ready() -> None:
    """Compiles the kernels where this machine has not done so for this code. What fails is compiled by each run, as before."""
    with suppress(OSError):
        mark = marker()
        if mark.exists():
            return
        mark.parent.mkdir(parents=True, exist_ok=True)
        with (mark.parent / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not mark.exists():
                log.info("kernels are compiled once on this machine, before the first sealed run")
                _compile()
                mark.touch()


def _compile() -> None:
    """Runs the small runs in a process of their own."""
    nowhere = subprocess.DEVNULL
    try:
        done = subprocess.run(
            [sys.executable, "-m", MODULE], stdin=nowhere, stdout=nowhere, stderr=nowhere, timeout=MOST_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        log.warning(
            "compiling kernels before sealed runs took longer than %.0f s; each run compiles what it calls", MOST_SECONDS
        )
        return
    if done.returncode:
        log.warning("kernels could not be compiled before sealed runs; each run compiles what it calls")


def marker() -> Path:
    """The file that says that the kernels of this code are compiled on this machine."""
    return cache_home() / "kernels-ready" / _digest()


@cache
def _digest() -> str:
    found = hashlib.sha256(f"{socket.gethostname()}\n{sys.version}\n".encode())
    for folder in (Path(__file__).resolve().parents[1], home("baselines")):
        for path in sorted(folder.rglob("*.py")):
            about = os.stat(path)
            found.update(f"{path}\n{about.st_mtime_ns}\n{about.st_size}\n".encode())
    return found.hexdigest()[:16]
