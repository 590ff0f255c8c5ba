"""A signal while SQL runs ends the command, not the query alone: it is no failure of a method and no bad input."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from relbench_harness.data.query import run_sql
from relbench_harness.ending import noted, own_signals


class Ended(KeyboardInterrupt):
    """What a handler of the shell raises; the exit code follows from it."""


@contextmanager
def signalled_soon(raised: type[KeyboardInterrupt], is_noted: bool) -> Iterator[None]:
    """After half a second a handler raises."""

    def end(number: int, frame: object) -> None:
        raise noted(raised()) if is_noted else raised()

    before = signal.signal(signal.SIGALRM, end)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(("raised", "is_noted"), [(KeyboardInterrupt, False), (Ended, True)])
def test_a_signal_during_a_query_ends_the_command(raised: type[KeyboardInterrupt], is_noted: bool) -> None:
    begin = time.monotonic()
    with own_signals(), pytest.raises(raised), signalled_soon(raised, is_noted):
        run_sql("SELECT sum(a.i * b.i) FROM range(3000000) a(i), range(3000000) b(i)", {}, "a long query", threads=1)
    assert time.monotonic() - begin < 60
