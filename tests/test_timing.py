"""Phases are exclusive and add up, whichever thread the work was done in."""

from __future__ import annotations

import time
from threading import Thread

import pytest

from relbench_harness.timing import moved, phase, timed


def test_an_inner_phase_takes_its_seconds_from_the_outer_one() -> None:
    with timed() as watch, phase("outer"):
        time.sleep(0.05)
        with phase("inner"):
            time.sleep(0.1)
    assert watch.wall["inner"] == pytest.approx(0.1, abs=0.04)
    assert watch.wall["outer"] == pytest.approx(0.05, abs=0.04)


def test_what_another_thread_compiles_is_moved_out_of_the_phase_that_waits() -> None:
    def compiling() -> None:
        begin = time.perf_counter()
        time.sleep(0.1)
        moved("compile", time.perf_counter() - begin)

    with timed() as watch:
        begin = time.perf_counter()
        with phase("fit"):
            thread = Thread(target=compiling)
            thread.start()
            thread.join()
            time.sleep(0.05)
        elapsed = time.perf_counter() - begin
    assert watch.wall["compile"] == pytest.approx(0.1, abs=0.02)
    assert watch.wall["fit"] + watch.wall["compile"] == pytest.approx(elapsed, abs=0.01)


def test_no_phase_loses_more_than_it_has() -> None:
    with timed() as watch, phase("fit"):
        moved("compile", 100.0)
    assert 0 <= watch.wall["fit"] < 1 and watch.wall["compile"] < 1
    moved("compile", 1.0)
