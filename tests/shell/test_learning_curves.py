"""Epochs reach a tracker while an isolated run learns, after it where the method shares the process, and cost no run."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import pytest

from relbench_harness.errors import InputError
from relbench_harness.learning_curves import followed
from relbench_harness.progress import is_watched, work
from relbench_harness.tracking import NoTracker, run_name

NAME = run_name("gnn", "rel-f1/driver-dnf", 3)


@dataclass
class Heard:
    points: list[tuple[str, int, float]] = field(default_factory=list)
    error: Exception | None = None

    def epoch(self, run: str, epoch: int, validation: float) -> None:
        self.points.append((run, epoch, validation))
        if self.error is not None:
            raise self.error

    def log(self, result: object) -> None: ...


def learn(heard: Heard) -> int:
    """A run of two epochs; returns how many points came while it was under way."""
    with work(NAME):
        with work("epoch", 2) as epochs:
            epochs.at(1, "validation 0.5000")
            epochs.at(2, "validation -0.2500")
        with work("candidates", 2) as other:
            other.at(1, "validation 0.9000")
        for _ in range(1000):
            if len(heard.points) == 2:
                break
            time.sleep(0.001)
        return len(heard.points)


@pytest.mark.parametrize(("isolated", "during"), [(True, 2), (False, 0)])
def test_points_come_while_the_run_is_under_way_if_that_changes_nothing(isolated: bool, during: int) -> None:
    heard = Heard()
    with followed(heard, isolated):
        assert learn(heard) == during
        assert heard.points == [(NAME, 1, 0.5), (NAME, 2, -0.25)]
        with work("epoch", 1) as outside:
            outside.at(1, "validation 0.1000")
    assert len(heard.points) == 2


def test_a_tracker_that_is_down_costs_no_run() -> None:
    heard = Heard(error=InputError("down"))
    with followed(heard, True):
        learn(heard)
    with pytest.raises(KeyError), followed(Heard(error=KeyError("a fault of the program")), False):
        learn(Heard())


def test_without_a_tracker_nobody_watches() -> None:
    with followed(NoTracker(), True):
        assert not is_watched()
