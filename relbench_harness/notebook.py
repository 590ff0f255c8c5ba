"""The same without the shell: open a task, score predictions, run a method, rank results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relbench_harness.board.leaderboard import leaderboard as ranked
from relbench_harness.compose import make_guarded
from relbench_harness.data import dataset as datasets
from relbench_harness.data.database import Database
from relbench_harness.data.dataset import Dataset
from relbench_harness.data.labels import SPLITS, Split
from relbench_harness.data.task import Task
from relbench_harness.errors import InputError, nearest
from relbench_harness.models.keep import Keeping
from relbench_harness.models.model import Model as Model
from relbench_harness.models.model import load_model as load_model
from relbench_harness.protocol.configuration import described_method
from relbench_harness.protocol.intervals import noted_intervals
from relbench_harness.protocol.method import Budget, Method
from relbench_harness.protocol.metrics import Scores
from relbench_harness.protocol.result import Result
from relbench_harness.protocol.stages import Stages
from relbench_harness.request import RunRequest

if TYPE_CHECKING:
    from relbench_harness.explaining.found_out import View
    from relbench_harness.explaining.notebook import Explained


@dataclass(frozen=True, repr=False)
class OpenTask:
    """A task with its data."""

    dataset: Dataset
    task: Task

    def __repr__(self) -> str:
        return f"<{self.task.type} task {self.task.id} about {self.task.entity_table}>"

    @cached_property
    def _stages(self) -> Stages:
        return Stages(self.dataset, self.task, "frozen")

    @cached_property
    def database(self) -> Database:
        """What may be known at the test timestamp, without the columns that the task hides."""
        return self.task.visible_columns(self.dataset.database).upto(self.dataset.cuts.test)

    def table(self, split: Split) -> pd.DataFrame:
        """The examples of `split` in the order that `score` expects, with their labels except for the test split."""
        frame = self._stages.labels(_split(split)).frame(self.task)
        return frame.drop(columns=self.task.target) if split == "test" else frame

    def score(self, split: Split, predictions: NDArray[np.generic]) -> Scores:
        """Every metric of the task's type for predictions in the order of `table(split)`."""
        return self._stages.holdout(_split(split)).score(np.asarray(predictions))


def _split(name: str) -> Split:
    for split in SPLITS:
        if split == name:
            return split
    raise InputError(f"no split {name!r}; {nearest(name, SPLITS)}")


def open_task(address: str) -> OpenTask:
    """The task `dataset/task`."""
    return OpenTask(*datasets.open_task(address))


@dataclass(frozen=True, repr=False)
class Finished:
    """A run that has ended. Every attribute of its `Result` is one of its own; only `predictions` are the numbers.

    Attributes:
        result: What is stored of the run and ranked.
        predictions: Columns split, entity, time, prediction, and quantiles such as q10 where the method knows them; None where the run failed. Entities and recommended items are
            row numbers of their tables, as in `OpenTask.table`.
    """

    result: Result
    predictions: pd.DataFrame | None
    _keeping: Keeping = field(default_factory=Keeping)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in ("result", "predictions"):
            # pickle and copy look for it before there is a result
            raise AttributeError(name)
        return getattr(self.result, name)

    def __repr__(self) -> str:
        one = self.result
        came = f"{one.metric} test {one.score:.4f}" if one.ok else f"failed ({one.status}): {one.error}"
        return f"<{one.method} on {one.task}, seed {one.seed}, {one.regime}: {came}>"

    def save(self, folder: str | Path) -> Path:
        """Keeps the fitted method in `folder`, for `load_model`.

        Raises:
            InputError: The run failed, the method cannot be kept, or something else is in the folder.
        """
        self._keeping.write(Path(folder))
        return Path(folder)

    def explain(self, examples: Sequence[str] = (), count: int = 3, level: View | None = None) -> Explained:
        """What the fitted method looks at; see `relbench_harness.explain_model`."""
        from relbench_harness.explaining.notebook import explain_run

        return explain_run(self._keeping, examples, count, level)


def run(
    task: str,
    method: str | Method,
    seed: int | None = None,
    regime: str = "frozen",
    fit_on: str = "train",
    results_dir: str | Path | None = None,
    budget: Budget | Mapping[str, Any] | None = None,
    answers: str | None = None,
    objective: str | None = None,
    **overrides: Any,
) -> Finished:
    """One run of `method`, by the name of its config (with fields overridden) or as an object, on `task`.

    Args:
        seed: That of the budget, or 0.
        results_dir: Where result and predictions are stored, if anywhere.
        budget: A `Budget`, or some of its fields, such as `{"seconds": 60}`.
        answers: `calibrated` for calibrated probabilities, or quantiles beside a regression's predictions; of a method by name.
        objective: The metric that the method is fitted and chosen for, such as `rmse`, where it is not the primary one; likewise.
    """
    around = {group: choice for group, choice in (("answers", answers), ("objective", objective)) if choice is not None}
    made = _named(method, around, overrides) if isinstance(method, str) else _given(method, {**around, **overrides})
    request = RunRequest(
        task=task,
        method=made.method,
        name=made.name,
        config=made.config,
        regime=regime,
        fit_on=fit_on,
        budget=_budget(budget, seed),
        results_dir=results_dir,
    )
    keeping = Keeping()
    result, predictions = request.execute(keeping=keeping)
    return Finished(result, None if predictions is None else _with_quantiles(predictions.to_pandas(), result), keeping)


def _with_quantiles(predictions: pd.DataFrame, result: Result) -> pd.DataFrame:
    intervals = noted_intervals(result.notes)
    if intervals is None:
        return predictions
    quantiles = intervals.around(predictions["prediction"].to_numpy())
    return predictions.assign(**dict(zip(intervals.names, quantiles.T, strict=True)))


class _Made(NamedTuple):
    """A method, what it is called on the board, and its complete configuration."""

    method: Method
    name: str
    config: dict[str, Any]


def _named(name: str, around: Mapping[str, str], overrides: Mapping[str, Any]) -> _Made:
    method, config = make_guarded(name, around, **overrides)
    return _Made(method, name, config)


def _given(method: Method, overrides: Mapping[str, Any]) -> _Made:
    if overrides:
        raise InputError(f"fields can be overridden for a method given by name, not for {method!r}")
    if isinstance(method, type) or not callable(getattr(method, "fit", None)):
        raise InputError(
            f"{method!r} is no method: neither the name of a config nor an object with fit(train, valid, budget)"
        )
    return _Made(method, type(method).__name__, described_method(method))


def _budget(given: Budget | Mapping[str, Any] | None, seed: int | None) -> Budget:
    """The budget that `given` describes, with `seed` where that is named."""
    if not isinstance(given, Budget):
        known = [entry.name for entry in fields(Budget)]
        if not isinstance(given or {}, Mapping):
            raise InputError(f"budget is {given!r}, neither a Budget nor a mapping of its fields: {', '.join(known)}")
        for key in given or {}:
            if key not in known:
                raise InputError(f"a budget has no {key!r}; {nearest(str(key), known)}")
        given = Budget(**(given or {}))
    return given if seed is None else replace(given, seed=seed)


def leaderboard(results: Iterable[Result | Finished], anchor: str | None = None) -> pd.DataFrame:
    """The leaderboard of some runs; see `relbench_harness.board.leaderboard`."""
    return ranked((one.result if isinstance(one, Finished) else one for one in results), anchor=anchor)
