"""What a sweep does where the disk is full: it says so once, waits with growing pauses, and goes on when there is room.

Invariant: nothing that a run has found is given up for lack of room, and waiting ends at once on Ctrl-C.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from relbench_harness.board import store
from relbench_harness.errors import sentence
from relbench_harness.protocol.result import Outcome

FULL = (errno.ENOSPC, errno.EDQUOT)
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds."""
T = TypeVar("T")
Say = Callable[[str], None]


def when_there_is_room(act: Callable[[], T], say: Say, pause: Callable[[float], None] = time.sleep) -> T:
    """What `act` returns, once the disk has room for what it writes.

    Raises:
        OSError: What `act` raises for any other reason.
    """
    seconds = FIRST_PAUSE
    while True:
        try:
            done = act()
        except OSError as error:
            if error.errno not in FULL:
                raise
            if seconds == FIRST_PAUSE:
                say(f"{sentence(error)}; the sweep waits and goes on when there is room")
            pause(seconds)
            seconds = min(2 * seconds, LONGEST_PAUSE)
            continue
        if seconds > FIRST_PAUSE:
            say("there is room again; the sweep goes on")
        return done


def patient_store(say: Say) -> Callable[[Outcome, Path], Outcome]:
    """`store.write` for a sweep: a full disk is waited for. For any other fault it is `store.write`."""

    def keep(outcome: Outcome, folder: Path) -> Outcome:
        try:
            return when_there_is_room(lambda: store.place(outcome, folder), say)
        except OSError:
            # says what is wrong, and keeps the result elsewhere
            return store.write(outcome, folder)

    return keep
