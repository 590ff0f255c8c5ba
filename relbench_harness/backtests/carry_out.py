"""Every policy at every origin: who answers, what the answers are, and the seconds that learning and answering took.

Invariants: at the first origin all policies have one and the same model, which is fitted once. The test labels of an origin
are used to score alone. Where a method fails at an origin, the others go on, and the model before stays.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from relbench_harness.backtests.refreshing import POLICIES, Standing, Teacher
from relbench_harness.board.predictions import SplitLabels
from relbench_harness.ending import end_if_signalled
from relbench_harness.errors import InputError
from relbench_harness.progress import work
from relbench_harness.protocol.method import Examples, label_values
from relbench_harness.protocol.process_state import process_state
from relbench_harness.protocol.run import check_items
from relbench_harness.protocol.stages import Seen, Stages
from relbench_harness.protocol.work import said_of, trace_of
from relbench_harness.timing import phase, timed

log = logging.getLogger(__name__)
DAY = 86_400 * 10**9


@dataclass(frozen=True)
class Cell:
    """What a policy came to at an origin.

    Attributes:
        origin: Number of the origin, from 0; `learned` is that at which the model that answers learned last.
        age: Days between the two.
        labels: The examples of the origin's test split with the classes that the model knows.
        predictions: None where the method failed, which `error` then says.
        fit_seconds, predict_seconds: As if no cache had held anything.
    """

    policy: str
    origin: int
    learned: int
    age: float
    labels: SplitLabels
    predictions: NDArray[np.generic] | None
    fit_seconds: float = 0.0
    predict_seconds: float = 0.0
    error: str = ""


@dataclass
class Stopped:
    """The seconds of a block, those that a cache saved included."""

    seconds: float = 0.0


@contextmanager
def stopped() -> Iterator[Stopped]:
    """Takes the seconds of the block; the time in which labels and tables are read is not the method's."""
    found = Stopped()
    with timed() as watch:
        begin = time.perf_counter()
        yield found
        elapsed = time.perf_counter() - begin
    not_its_own = sum(watch.wall.get(name, 0.0) for name in ("labels", "load"))
    found.seconds = elapsed - not_its_own + sum(watch.restored.values())


@dataclass(frozen=True)
class Backtest:
    """A method at several origins under several policies.

    Attributes:
        name: What the method is called.
        origins: The stages at each origin, the earliest first.
        policies: Names in `POLICIES`.
    """

    name: str
    teacher: Teacher
    origins: Sequence[Stages]
    policies: Sequence[str]
    _standing: dict[str, Standing] = field(default_factory=dict)

    def execute(self) -> list[Cell]:
        """A cell for every origin and policy, in this order.

        Raises:
            InputError: The method cannot be fitted at the first origin, or cannot do what a policy is.
        """
        with stopped() as clock, work(f"{self.name}: origin 1 of {len(self.origins)}"):
            first = _tried(f"{self.name} at the first origin", lambda: self.teacher.anew(self.origins[0], 0))
        found = [self._answered(policy, 0, first, clock.seconds) for policy in self.policies]
        if found[0].error:
            raise InputError(f"{self.name} at the first origin: {found[0].error}")
        self._standing.update(dict.fromkeys(self.policies, first))
        for number in range(1, len(self.origins)):
            with work(f"{self.name}: origin {number + 1} of {len(self.origins)}"):
                found += [self._cell(policy, number) for policy in self.policies]
        return found

    def _cell(self, policy: str, number: int) -> Cell:
        before, stages, error = self._standing[policy], self.origins[number], ""
        with stopped() as clock:
            try:
                standing = POLICIES[policy](self.teacher, before, stages, number)
            except Exception as failure:
                if number == 1 and isinstance(failure, InputError):
                    # what a method cannot do at all is said before time is spent
                    raise
                standing, error = before, _said(f"{self.name} at origin {number + 1}", failure)
        self._standing[policy] = standing
        if error:
            return self._without_answer(policy, number, standing, error)
        return self._answered(policy, number, standing, clock.seconds)

    def _answered(self, policy: str, number: int, standing: Standing, fit_seconds: float) -> Cell:
        stages = self.origins[number]
        examples = unanswered(stages, standing.seen)
        labels = scored(stages, standing.seen)
        try:
            with stopped() as clock, process_state(self.teacher.budget.seed, self.teacher.budget.threads), phase("predict"):
                predictions = np.asarray(standing.predictor.predict(examples))
            labels.score(predictions)
            if examples.task.item_table is not None:
                check_items(predictions, len(examples.database[examples.task.item_table]), examples.task.id)
        except Exception as failure:
            return self._without_answer(policy, number, standing, _said(f"{self.name} at origin {number + 1}", failure))
        cell = self._without_answer(policy, number, standing, "")
        spent = fit_seconds if standing.origin == number else 0.0
        return replace(cell, predictions=predictions, fit_seconds=spent, predict_seconds=clock.seconds)

    def _without_answer(self, policy: str, number: int, standing: Standing, error: str) -> Cell:
        stages, then = self.origins[number], self.origins[standing.origin]
        age = (stages.dataset.cuts.test - then.dataset.cuts.test).value / DAY
        labels = scored(stages, standing.seen)
        return Cell(policy, number, standing.origin, age, labels, None, error=error)


def unanswered(stages: Stages, seen: Seen) -> Examples:
    """The test examples of an origin without labels, for a model that learned with `seen`."""
    with phase("labels"):
        return replace(stages.holdout("test", seen.fit_end).examples, **seen._asdict())


def scored(stages: Stages, seen: Seen) -> SplitLabels:
    """The test labels of an origin, with the classes of a model that learned with `seen`."""
    table = stages.labels("test")
    values = label_values(stages.task, table.target, seen.classes)
    return SplitLabels(stages.task, table.entity, table.time, values, stages.scale, len(seen.classes) or seen.width)


def _tried(what: str, make: Callable[[], Standing]) -> Standing:
    try:
        return make()
    except InputError:
        raise
    except Exception as failure:
        raise InputError(f"{what}: {_said(what, failure)}") from None


def _said(what: str, failure: Exception) -> str:
    end_if_signalled()
    log.warning("%s failed: %s\n%s", what, failure, trace_of(failure) or "")
    return said_of(failure)
