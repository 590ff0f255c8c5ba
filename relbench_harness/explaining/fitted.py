"""What is explained: a fitted method with the examples that it answers, from a request for a run or from a folder.

Invariant: the method has learned from training examples as in a run, and the examples are never those of the test split, whose labels
nobody sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from relbench_harness.authoring.original_keys import original_keys
from relbench_harness.composed_alone import composed_alone
from relbench_harness.data.dataset import Dataset, open_task
from relbench_harness.data.population import NOW, time_named
from relbench_harness.errors import InputError
from relbench_harness.models.model import Model
from relbench_harness.models.row_numbers import rows_of
from relbench_harness.protocol.method import REGIMES, Examples, Predictor
from relbench_harness.protocol.process_state import process_state
from relbench_harness.protocol.stages import Seen, Stages, unlabelled

if TYPE_CHECKING:
    from relbench_harness.request import RunRequest


@dataclass(frozen=True)
class Fitted:
    """A fitted method joined with its task.

    Attributes:
        name: Of the method.
        valid: The validation examples, with their labels.
        kept: Where it was kept, if it was.
    """

    name: str
    predictor: Predictor
    stages: Stages
    valid: Examples
    kept: Path | None = None

    @property
    def task(self) -> str:
        return f"{self.dataset.address}/{self.stages.task.name}"

    @property
    def dataset(self) -> Dataset:
        return self.stages.dataset

    def keys(self, table: str) -> pa.Table:
        """The original key of each row of `table`."""
        return original_keys(self.dataset, table)

    def named(self, texts: Sequence[str]) -> Examples:
        """The examples that `texts` name, each KEY@TIME; without a time, or at `now`, at the end of the data.

        Raises:
            InputError: There is no such entity, or a time is none.
        """
        keys = self.keys(self.stages.task.entity_table)
        who, at = zip(*(self._read(one, keys.num_columns) for one in texts), strict=True)
        columns = {name: pa.array([key[i] for key in who], pa.string()) for i, name in enumerate(keys.column_names)}
        rows = rows_of(keys, pa.table(columns), "--example")
        for text, row in zip(texts, rows.tolist(), strict=True):
            if row < 0:
                first = ", ".join(str(column[0].as_py()) for column in keys.columns) if keys.num_rows else "none"
                raise InputError(
                    f"--example {text} names no row of table {self.stages.task.entity_table!r}; its first key is {first}"
                )
        times = self.dataset.database[self.stages.task.entity_table].times
        own = self.stages.task.own_row_visible and times is not None
        time = times[rows] if own and times is not None else np.asarray([t.as_unit("ns").value for t in at], np.int64)
        valid = self.valid
        seen = Seen(valid.regime, valid.fit_end, valid.classes, valid.width, valid.training)
        return unlabelled(self.stages.task, self.stages.shown, (rows, time), seen)

    def _read(self, text: str, width: int) -> tuple[list[str], pd.Timestamp]:
        """The key, a part per column, and the time."""
        key, found, at = text.rpartition("@")
        key, at = (key, at) if found else (text, NOW)
        parts = [key] if width == 1 else key.split(",")
        if len(parts) != width or not all(parts):
            raise InputError(f"--example {text!r} is not KEY@TIME with {width} parts of the key, such as 17@2024-05-02")
        try:
            return parts, time_named(at, self.dataset.database)
        except InputError as error:
            raise InputError(f"--example {text!r}: {error}") from None


def fitted_by(overrides: Sequence[str]) -> Fitted:
    """A method fitted as `overrides` say, as `run` takes them, without the guard that may answer in its place.

    Raises:
        InputError: They cannot be composed, or the method does not do the task.
    """
    return fitted(composed_alone(overrides, "explain").unguarded())


def fitted(request: RunRequest) -> Fitted:
    """The method of a run, fitted in this process."""
    from relbench_harness.explain.outputs import check_values
    from relbench_harness.request import choice

    request.budget.check()
    dataset, task = open_task(request.task)
    stages = Stages(dataset, task, choice(request.regime, REGIMES, "regime"))
    train, valid = stages.examples("train"), stages.examples("val")
    check_values(valid)
    with process_state(request.budget.seed, request.budget.threads):
        predictor: Any = request.method.fit(train, valid, request.budget)
    return Fitted(request.name, predictor, stages, valid)


def fitted_in(model: Model) -> Fitted:
    """A kept model; what it is shown of its examples is what each would see in daily use."""
    serving = model.serving()
    stages = Stages(serving.dataset, serving.dataset.task(model.task.name), "rolling")
    valid = stages.examples("val")
    return Fitted(str(model.manifest["method"]["name"]), serving.predictor, stages, valid, model.folder)
