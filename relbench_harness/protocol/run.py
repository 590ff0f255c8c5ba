"""One run: a method learns a task in a regime from one seed, answers validation and test, and is scored on both.

This is the harness's side: it makes the examples, keeps the labels, scores, and says what came of it. The method's side is
`work.do`, in this process or in one of its own. Invariant: a run always yields a `Result`. What goes wrong inside a method is a
recorded failure; what is wrong with the data or the request is an `InputError` before the method is called.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.progress import watched, work
from relbench_harness.protocol.epochs import Epochs
from relbench_harness.protocol.holdout import Holdout
from relbench_harness.protocol.intervals import NOTE, noted_intervals
from relbench_harness.protocol.machine import commit, machine, versions
from relbench_harness.protocol.method import Budget, Countdown, Examples, Method
from relbench_harness.protocol.metrics import PRIMARY, Scores
from relbench_harness.protocol.result import Outcome, Result
from relbench_harness.protocol.sharing import Surroundings
from relbench_harness.protocol.stages import Stages
from relbench_harness.protocol.work import FIT_ON as FIT_ON
from relbench_harness.protocol.work import (
    Answered,
    Assignment,
    FitOn,
    InThisProcess,
    InvalidPredictionsError,
    Isolation,
    Keep,
    Kept,
    Report,
)
from relbench_harness.timing import Stopwatch, phase, timed

log = logging.getLogger(__name__)


class KeepRun(Keep, Protocol):
    """Keeps the fitted method of a run that ended well."""

    def take(self, kept: Kept, test: Examples, /) -> None:
        """Takes its files, and the examples of the test split that it answered."""
        ...


@dataclass(frozen=True)
class Run:
    """Task × method × seed × regime × budget.

    Attributes:
        name: What the method is called on the board.
        config: Its hyperparameters, as they will stand in the result.
        fit_on: Labels that the model for the test split learns from. With `train+val` everything chosen on validation
            is held fixed and the model learns again on both.
        lines: Lines of code, as they will stand in the result.
        isolation: Where the method's side is carried out.
        jobs: How many jobs of the sweep run at a time, this one among them.
        keep: Takes the fitted method, where it is to be kept.
    """

    stages: Stages
    method: Method
    name: str
    budget: Budget = field(default_factory=Budget)
    config: Mapping[str, Any] = field(default_factory=dict)
    fit_on: FitOn = "train"
    lines: Mapping[str, Any] = field(default_factory=dict)
    isolation: Isolation = field(default_factory=InThisProcess)
    jobs: int = 1
    keep: KeepRun | None = None

    def execute(self) -> Outcome:
        """Fit, predict, score. Raises `InputError` only for faults of the data, found before the method is called."""
        started = datetime.now(UTC).isoformat(timespec="seconds")
        task = self.stages.task
        answers, around = Answers(self.stages, self.fit_on), Surroundings(self.budget.device)
        epochs = Epochs()
        with work(f"{self.name} on {task.id}, seed {self.budget.seed}"), timed() as watch, watched(epochs):
            begin, countdown = time.perf_counter(), Countdown(self.budget)
            with phase("load"):
                self._prepare()
            assignment = Assignment(self.method, self.name, countdown, self.fit_on, self.keep)
            report = self.isolation.carry_out(assignment, answers, answers.hand_in)
            elapsed = time.perf_counter() - begin
        cost = around.until_now(self.jobs)
        if report.status != "ok":
            log.warning("%s on %s failed: %s\n%s", self.name, task.id, report.error, report.traceback or "")
        _add(watch, report)
        result = self._result(
            answers, report, {**cost, **_costs(watch, elapsed), "started": started, "learning_curves": epochs.stored()}
        )
        if self.keep is not None and report.kept is not None:
            self.keep.take(report.kept, answers.test())
        return Outcome(result, answers.table if report.status == "ok" else None)

    def _result(self, answers: Answers, report: Report, measured: Mapping[str, Any]) -> Result:
        """What is stored.

        Args:
            measured: Fields of a result that the clock and the machine say.
        """
        task = self.stages.task
        metric = PRIMARY[task.type]
        return Result(
            task=task.id,
            task_type=task.type.value,
            method=self.name,
            config=dict(self.config),
            seed=self.budget.seed,
            regime=self.stages.regime,
            fitted_on=self.fit_on,
            status=report.status,
            metric=metric.name,
            higher_is_better=metric.higher_is_better,
            scores=answers.scores,
            peak_memory_mb=round(report.peak_memory_mb, 1),
            peak_device_memory_mb=round(report.peak_device_memory_mb, 1),
            lines=dict(self.lines),
            budget=asdict(self.budget),
            dataset_fingerprint=self.stages.dataset.database.fingerprint,
            machine={**machine(), **({"gpu": report.gpu} if report.gpu else {})},
            versions=versions(),
            commit=commit(),
            error=report.error,
            traceback=report.traceback,
            isolation=self.isolation.name,
            limits=dict(report.limits),
            notes=answers.with_intervals(report.notes) if report.status == "ok" else dict(report.notes),
            **measured,
        )

    def _prepare(self) -> None:
        """Reads everything a user can have got wrong, so that a fault of the data is no failure of the method."""
        for split in ("train", "val", "test"):
            self.stages.labels(split)
        self.stages.check_delay()


@dataclass(frozen=True)
class Answers:
    """The examples of a run, made when the method's side gets to them, and its answers, scored as they come in.

    Attributes:
        scores: Split → metric → value, of those splits that are answered.
    """

    stages: Stages
    fit_on: FitOn
    scores: dict[str, Scores] = field(default_factory=dict)
    _tables: list[pa.Table] = field(default_factory=list)

    @property
    def database(self) -> Database:
        return self.stages.shown

    @property
    def fingerprint(self) -> str:
        return self.stages.dataset.database.fingerprint

    def training(self) -> tuple[Examples, Examples]:
        return self.stages.examples("train"), self.stages.examples("val")

    def validation(self) -> Examples:
        return self._val.examples

    def final_training(self) -> Examples:
        return self._both

    def test(self) -> Examples:
        return self._test.examples

    @cached_property
    def _val(self) -> Holdout:
        return self.stages.holdout("val")

    @cached_property
    def _both(self) -> Examples:
        return self.stages.final_training()

    @cached_property
    def _test(self) -> Holdout:
        return self.stages.holdout("test", self._both.fit_end if self.fit_on == "train+val" else None)

    @property
    def table(self) -> pa.Table:
        """Columns split, entity, time, prediction."""
        return pa.concat_tables(self._tables)

    def with_intervals(self, notes: Mapping[str, Any]) -> dict[str, Any]:
        """The notes of a method, with what intervals that it knows came to on the test split."""
        intervals = noted_intervals(notes)
        if intervals is None:
            return dict(notes)
        table = self.table
        given = table.filter(pc.equal(table.column("split"), "test")).column("prediction").to_numpy()
        return {**notes, NOTE: {**notes[NOTE], "test": self._test.covered(intervals, given)}}

    def hand_in(self, split: Answered, predictions: NDArray[np.generic]) -> None:
        """Scores the predictions of a split.

        Raises:
            InvalidPredictionsError: They have the wrong shape, hold NaN, or name an item twice.
        """
        holdout = self._val if split == "val" else self._test
        try:
            with phase("score"):
                scores = holdout.score(predictions)
        except InputError as error:
            raise InvalidPredictionsError(str(error)) from None
        examples = holdout.examples
        if examples.task.type is TaskType.RECOMMENDATION:
            check_items(predictions, len(examples.database[str(examples.task.item_table)]), examples.task.id)
        self.scores[split] = scores
        self._tables.append(
            pa.table(
                {
                    "split": pa.array([split] * len(examples), pa.string()),
                    "entity": pa.array(examples.entity),
                    "time": pa.array(examples.time).cast(pa.timestamp("ns")),
                    "prediction": _column(predictions),
                }
            )
        )


def _column(predictions: NDArray[np.generic]) -> pa.Array:
    if predictions.ndim == 1:
        return pa.array(predictions.astype(np.float64))
    inner = pa.int64() if np.issubdtype(predictions.dtype, np.integer) else pa.float64()
    return pa.array(list(predictions), type=pa.list_(inner))


def check_items(predictions: NDArray[np.generic], items: int, task: str) -> None:
    """Recommendations name items once, so that no repeated hit counts twice; −1 says that there is no further item.

    Raises:
        InvalidPredictionsError: One is named twice, or does not exist.
    """
    ordered = np.sort(predictions.astype(np.int64), axis=1)
    if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
        raise InvalidPredictionsError(f"task {task}: an item is named twice for one example")
    if (ordered >= items).any():
        raise InvalidPredictionsError(f"task {task}: item {int(ordered.max())} does not exist; there are {items}")


def _add(watch: Stopwatch, report: Report) -> None:
    """Adds the seconds that the method's side measured in a process of its own."""
    for own, theirs in ((watch.wall, report.wall), (watch.cpu, report.cpu), (watch.restored, report.restored)):
        for name, seconds in theirs.items():
            own[name] = own.get(name, 0.0) + seconds


def _costs(watch: Stopwatch, elapsed: float) -> dict[str, dict[str, float]]:
    """The seconds of a run by phase, as its result has them."""
    return {
        "seconds": _seconds(watch, elapsed, cold=True),
        "seconds_warm": _seconds(watch, elapsed, cold=False),
        "cpu_seconds": {name: round(seconds, 4) for name, seconds in watch.cpu.items()},
    }


def _seconds(watch: Stopwatch, elapsed: float, cold: bool) -> dict[str, float]:
    names = {**watch.wall, **watch.restored} if cold else watch.wall
    phases = {n: watch.wall.get(n, 0.0) + (watch.restored.get(n, 0.0) if cold else 0.0) for n in names}
    phases["total"] = elapsed + (sum(watch.restored.values()) if cold else 0.0)
    return {name: round(seconds, 4) for name, seconds in phases.items()}
