"""One run: a method learns a task in a regime from one seed, answers validation and test, and is scored on both.

Invariant: a run always yields a `Result`. What goes wrong inside a method is a recorded failure; what is wrong with the
data or the request is an `InputError` before the method is called.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.progress import work
from relbench_harness.protocol.holdout import Holdout
from relbench_harness.protocol.machine import PeakMemory, commit, device_peak_mb, machine, versions
from relbench_harness.protocol.method import Budget, Countdown, Method, Predictor, Refittable, notes_of
from relbench_harness.protocol.metrics import PRIMARY, Scores
from relbench_harness.protocol.process_state import process_state
from relbench_harness.protocol.result import Outcome, Result
from relbench_harness.protocol.stages import Stages
from relbench_harness.timing import Stopwatch, phase, timed

FitOn = Literal["train", "train+val"]
FIT_ON: tuple[FitOn, ...] = get_args(FitOn)
log = logging.getLogger(__name__)


class InvalidPredictionsError(Exception):
    """A method answered in the wrong shape, with NaN, or named an item twice."""


@dataclass(frozen=True)
class Run:
    """Task × method × seed × regime × budget.

    Attributes:
        name: What the method is called on the board.
        config: Its hyperparameters, as they will stand in the result.
        fit_on: Labels that the model for the test split learns from. With `train+val` everything chosen on validation
            is held fixed and the model learns again on both.
        lines: Lines of code, as they will stand in the result.
    """

    stages: Stages
    method: Method
    name: str
    budget: Budget = field(default_factory=Budget)
    config: Mapping[str, Any] = field(default_factory=dict)
    fit_on: FitOn = "train"
    lines: Mapping[str, Any] = field(default_factory=dict)

    def execute(self) -> Outcome:
        """Fit, predict, score. Raises `InputError` only for faults of the data, found before the method is called."""
        started = datetime.now(UTC).isoformat(timespec="seconds")
        task = self.stages.task
        status, error, predictions = "ok", None, None
        scores: dict[str, Scores] = {}
        notes: dict[str, object] = {}
        what = f"{self.name} on {task.id}, seed {self.budget.seed}"
        state = process_state(self.budget.seed, self.budget.threads)
        with work(what), timed() as watch, PeakMemory() as memory, state:
            begin, countdown = time.perf_counter(), Countdown(self.budget)
            with phase("load"):
                self._prepare()
            try:
                predictions = self._answers(countdown, scores, notes)
            except Exception as failure:
                status, error = _kind(failure), f"{type(failure).__name__}: {' '.join(str(failure).split())}"
                log.warning("%s on %s failed", self.name, task.id, exc_info=failure)
            elapsed = time.perf_counter() - begin
        metric = PRIMARY[task.type]
        result = Result(
            task=task.id,
            task_type=task.type.value,
            method=self.name,
            config=dict(self.config),
            seed=self.budget.seed,
            regime=self.stages.regime,
            fitted_on=self.fit_on,
            status=status,
            metric=metric.name,
            higher_is_better=metric.higher_is_better,
            scores=scores,
            seconds=_seconds(watch, elapsed, cold=True),
            seconds_warm=_seconds(watch, elapsed, cold=False),
            cpu_seconds={name: round(s, 4) for name, s in watch.cpu.items()},
            peak_memory_mb=round(memory.peak_mb, 1),
            peak_device_memory_mb=round(device_peak_mb(), 1),
            lines=dict(self.lines),
            budget=asdict(self.budget),
            dataset_fingerprint=self.stages.dataset.database.fingerprint,
            machine=machine(),
            versions=versions(),
            commit=commit(),
            started=started,
            error=error,
            notes=notes,
        )
        return Outcome(result, predictions)

    def _prepare(self) -> None:
        """Reads everything a user can have got wrong, so that a fault of the data is no failure of the method."""
        for split in ("train", "val", "test"):
            self.stages.labels(split)

    def _answers(self, countdown: Countdown, scores: dict[str, Scores], notes: dict[str, object]) -> pa.Table:
        """The predictions of both splits; fills `scores` and `notes`. A method that learns twice has half of the time."""
        stages = self.stages
        with phase("labels"):
            train, valid = stages.examples("train"), stages.examples("val")
            val, test = stages.holdout("val"), stages.holdout("test")
        with phase("fit"):
            predictor = self.method.fit(train, valid, countdown.part(1.0 if self.fit_on == "train" else 0.5))
        notes.update(notes_of(predictor))
        parts = [self._answer(predictor, val, "val", scores)]
        if self.fit_on == "train+val":
            if not isinstance(predictor, Refittable):
                raise InputError(f"method {self.name!r} cannot learn again on train+val; use fit_on=train")
            with phase("labels"):
                both = stages.final_training()
                test = stages.holdout("test", fit_end=both.fit_end)
            with phase("fit"):
                predictor = predictor.refit(both)
        parts.append(self._answer(predictor, test, "test", scores))
        return pa.concat_tables(parts)

    def _answer(self, predictor: Predictor, holdout: Holdout, split: str, scores: dict[str, Scores]) -> pa.Table:
        with phase("predict"):
            predictions = np.asarray(predictor.predict(holdout.examples))
        try:
            scores[split] = holdout.score(predictions)
        except InputError as error:
            raise InvalidPredictionsError(str(error)) from None
        examples = holdout.examples
        if examples.task.type is TaskType.RECOMMENDATION:
            _check_items(predictions, len(examples.database[str(examples.task.item_table)]), examples.task.id)
        return pa.table(
            {
                "split": pa.array([split] * len(examples), pa.string()),
                "entity": pa.array(examples.entity),
                "time": pa.array(examples.time).cast(pa.timestamp("ns")),
                "prediction": _column(predictions),
            }
        )


def _column(predictions: NDArray[np.generic]) -> pa.Array:
    if predictions.ndim == 1:
        return pa.array(predictions.astype(np.float64))
    inner = pa.int64() if np.issubdtype(predictions.dtype, np.integer) else pa.float64()
    return pa.array(list(predictions), type=pa.list_(inner))


def _check_items(predictions: NDArray[np.generic], items: int, task: str) -> None:
    """Recommendations name items once, so that no repeated hit counts twice; −1 says that there is no further item."""
    ordered = np.sort(predictions.astype(np.int64), axis=1)
    if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
        raise InvalidPredictionsError(f"task {task}: an item is named twice for one example")
    if (ordered >= items).any():
        raise InvalidPredictionsError(f"task {task}: item {int(ordered.max())} does not exist; there are {items}")


def _kind(failure: Exception) -> str:
    """The failure's entry in `FAILURES`."""
    if isinstance(failure, InvalidPredictionsError):
        return "invalid_predictions"
    if isinstance(failure, InputError):
        return "bad_input"
    if isinstance(failure, MemoryError) or "OutOfMemory" in type(failure).__name__:
        return "out_of_memory"
    return "timeout" if isinstance(failure, TimeoutError) else "error"


def _seconds(watch: Stopwatch, elapsed: float, cold: bool) -> dict[str, float]:
    names = {**watch.wall, **watch.restored} if cold else watch.wall
    phases = {n: watch.wall.get(n, 0.0) + (watch.restored.get(n, 0.0) if cold else 0.0) for n in names}
    phases["total"] = elapsed + (sum(watch.restored.values()) if cold else 0.0)
    return {name: round(seconds, 4) for name, seconds in phases.items()}
