"""The method's side of a run: learn, answer validation, learn again where the run says so, answer test.

It is one function for all ways in which a run is isolated, so that scores do not depend on them. Invariant: the examples of
the test split are taken from their source only once validation is answered, and no label of theirs is ever here.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.ending import end_if_signalled
from relbench_harness.errors import InputError
from relbench_harness.protocol.machine import PeakMemory, device_peak_mb, gpu
from relbench_harness.protocol.method import Budget, Countdown, Examples, Method, Predictor, Refittable, notes_of
from relbench_harness.protocol.process_state import process_state
from relbench_harness.protocol.processor_time import OfChildren
from relbench_harness.timing import phase, with_processes

FitOn = Literal["train", "train+val"]
FIT_ON: tuple[FitOn, ...] = get_args(FitOn)
Answered = Literal["val", "test"]
"""A split that a method answers."""
HandIn = Callable[[Answered, NDArray[np.generic]], None]
"""Takes the predictions of a split. Raises `InvalidPredictionsError` for those that cannot be scored."""


class InvalidPredictionsError(Exception):
    """A method answered in the wrong shape, with NaN, named an item twice, or did not answer."""


class Source(Protocol):
    """Where a method's side gets its examples from: the stages of this process, or files."""

    def training(self) -> tuple[Examples, Examples]:
        """Training and validation, both with labels."""
        ...

    def validation(self) -> Examples:
        """Validation, without labels."""
        ...

    def final_training(self) -> Examples:
        """Training and validation together with labels; called once validation is answered."""
        ...

    def test(self) -> Examples:
        """Test, without labels; called once validation is answered."""
        ...


class WholeSource(Source, Protocol):
    """The harness's own source; what it has beside the examples is never handed over."""

    @property
    def database(self) -> Database:
        """What the examples' databases are cut from: every row, without the columns that no method may see."""
        ...

    @property
    def fingerprint(self) -> str:
        """That of the dataset."""
        ...


class Keep(Protocol):
    """Makes files of a fitted method. It is sent to where the method runs, and loads there what it needs."""

    def files(self, predictor: Predictor, /) -> Mapping[str, bytes]:
        """Name → content. Raises `InputError` where the method cannot be kept."""
        ...


@dataclass(frozen=True)
class Kept:
    """The files of a fitted method, or a sentence that says why there are none."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    refused: str = ""


@dataclass(frozen=True)
class Assignment:
    """What a method has to do, beside its examples.

    Attributes:
        name: What the method is called on the board.
        countdown: The seconds of the budget, which began with the run.
        fit_on: Labels that the model for the test split learns from.
        keep: Makes files of the model that answered the test split, where it is to be kept.
    """

    method: Method
    name: str
    countdown: Countdown
    fit_on: FitOn = "train"
    keep: Keep | None = None

    @property
    def budget(self) -> Budget:
        return self.countdown.budget


@dataclass(frozen=True)
class Report:
    """What came of the method's side, predictions aside.

    Attributes:
        status: `ok` or the kind of failure.
        traceback: Where in the method it failed, and the last that it printed.
        wall, cpu, restored: Seconds by phase that the caller's own stopwatch has not seen.
        limits: What was in force, each limit with its value and the means that keep it.
        kept: The fitted method, where it was to be kept.
    """

    status: str = "ok"
    error: str | None = None
    traceback: str | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    wall: Mapping[str, float] = field(default_factory=dict)
    cpu: Mapping[str, float] = field(default_factory=dict)
    restored: Mapping[str, float] = field(default_factory=dict)
    peak_memory_mb: float = 0.0
    peak_device_memory_mb: float = 0.0
    gpu: str | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)
    kept: Kept | None = None


class Isolation(Protocol):
    """Where the method's side of a run is carried out."""

    @property
    def name(self) -> str:
        """`none`, `process` or `sealed`."""
        ...

    def carry_out(self, assignment: Assignment, source: WholeSource, hand_in: HandIn) -> Report:
        """Does the method's side with the examples of `source`. What fails in the method is part of the report."""
        ...


@dataclass(frozen=True)
class InThisProcess:
    """No isolation, for debugging: the method runs here, and its failures are caught."""

    name: str = "none"

    def carry_out(self, assignment: Assignment, source: WholeSource, hand_in: HandIn) -> Report:
        notes: dict[str, Any] = {}
        status, error, trace, kept = "ok", None, None, None
        budget = assignment.budget
        started = with_processes(OfChildren().seconds)
        with process_state(budget.seed, budget.threads), PeakMemory() as memory, started:
            try:
                kept = do(assignment, source, hand_in, notes)
            except Exception as failure:
                end_if_signalled()
                status, error, trace = kind_of(failure), said_of(failure), trace_of(failure)
        return Report(
            status, error, trace, notes,
            peak_memory_mb=memory.peak_mb, peak_device_memory_mb=device_peak_mb(), gpu=gpu(), kept=kept,
        )  # fmt: skip


def do(assignment: Assignment, source: Source, hand_in: HandIn, notes: dict[str, Any]) -> Kept | None:
    """Learn and answer; fills `notes`. A method that learns twice has half of the time for the first.

    Returns:
        The model that answered the test split, where it is to be kept.
    """
    again = assignment.fit_on == "train+val"
    with phase("labels"):
        train, valid = source.training()
    with phase("fit"):
        predictor = assignment.method.fit(train, valid, assignment.countdown.part(0.5 if again else 1.0))
    notes.update(notes_of(predictor))
    with phase("labels"):
        validation = source.validation()
    hand_in("val", _predictions(predictor, validation))
    if again:
        if not isinstance(predictor, Refittable):
            raise InputError(f"method {assignment.name!r} cannot learn again on train+val; use fit_on=train")
        with phase("labels"):
            both = source.final_training()
        with phase("fit"):
            predictor = predictor.refit(both)
    with phase("labels"):
        test = source.test()
    hand_in("test", _predictions(predictor, test))
    return None if assignment.keep is None else _kept(assignment.keep, predictor)


def _kept(keep: Keep, predictor: Predictor) -> Kept:
    with phase("keep"):
        try:
            return Kept(keep.files(predictor))
        except InputError as error:
            return Kept(refused=str(error))


def _predictions(predictor: Predictor, examples: Examples) -> NDArray[np.generic]:
    with phase("predict"):
        return np.asarray(predictor.predict(examples))


def kind_of(failure: BaseException) -> str:
    """The failure's entry in `FAILURES`."""
    if isinstance(failure, InvalidPredictionsError):
        return "invalid_predictions"
    if isinstance(failure, InputError):
        return "bad_input"
    if isinstance(failure, MemoryError) or "OutOfMemory" in type(failure).__name__:
        return "out_of_memory"
    return "timeout" if isinstance(failure, TimeoutError) else "error"


def said_of(failure: BaseException) -> str:
    """The failure in one line."""
    return f"{type(failure).__name__}: {' '.join(str(failure).split())}"


def trace_of(failure: BaseException) -> str | None:
    """The traceback, where the failure is a fault of the program."""
    if isinstance(failure, InputError | InvalidPredictionsError):
        return None
    return "".join(traceback.format_exception(failure))
