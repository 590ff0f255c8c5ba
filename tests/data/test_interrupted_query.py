"""A signal while SQL runs ends the command, not the query alone: it is no failure of a method and no bad input."""

from __future__ import annotations

import signal
import time

import pytest

from relbench_harness.data.query import run_sql


def test_a_signal_during_a_query_ends_the_command() -> None:
    def end(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, end)
    begin = time.monotonic()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(KeyboardInterrupt):
            run_sql("SELECT sum(a.i * b.i) FROM range(3000000) a(i), range(3000000) b(i)", {}, "a long query", threads=1)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - begin < 60
