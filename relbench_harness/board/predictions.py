"""Scores made again from stored predictions, so that nobody has to believe a result line.

Invariant: a score that cannot be made again, from the predictions beside a result and the labels of its task, is named in
one sentence. Metrics are those of `protocol.metrics`; nothing is scored here by other means.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from relbench_harness.board.store import COLUMNS
from relbench_harness.data.dataset import open_dataset
from relbench_harness.data.labels import Split
from relbench_harness.data.names import dataset_folder, parse_address, split_address
from relbench_harness.data.task import Task, TaskType
from relbench_harness.errors import InputError, sentence
from relbench_harness.protocol.method import Labels, Ragged, Regime, label_values
from relbench_harness.protocol.metrics import Scores, expected_shape, score
from relbench_harness.protocol.result import Result
from relbench_harness.protocol.run import check_items
from relbench_harness.protocol.stages import Stages
from relbench_harness.protocol.work import InvalidPredictionsError

T = TypeVar("T")
SCORED: tuple[Split, ...] = ("val", "test")
TOLERANCE = 1e-12
"""How far a score made again may lie from the stored one, relative to it where it is above 1."""


@dataclass(frozen=True)
class SplitLabels:
    """The examples of a split with their labels and all that its metrics need.

    Attributes:
        entity, time: (n,) whom each example is about, and when (nanoseconds).
        scale: The divisor of NMAE.
        classes: How many classes or labels there are, 0 where that has no meaning.
    """

    task: Task
    entity: NDArray[np.int64]
    time: NDArray[np.int64]
    labels: Labels
    scale: float = math.nan
    classes: int = 0

    def __len__(self) -> int:
        return len(self.entity)

    def take(self, rows: NDArray[np.int64]) -> SplitLabels:
        """The examples `rows`, of which some may stand several times."""
        labels = self.labels.take(rows) if isinstance(self.labels, Ragged) else self.labels[rows]
        return replace(self, entity=self.entity[rows], time=self.time[rows], labels=labels)

    def score(self, predictions: NDArray[np.generic]) -> Scores:
        """Every metric of the task's type."""
        return score(self.task, self.labels, predictions, self.scale, self.classes)


def split_labels(stages: Stages, split: Split) -> SplitLabels:
    """The examples of `split` as runs are scored on them."""
    table = stages.labels(split)
    values = label_values(stages.task, table.target, stages.classes)
    return SplitLabels(stages.task, table.entity, table.time, values, stages.scale, len(stages.classes) or stages.width)


def stages_here(address: str, data: str, regime: Regime = "rolling") -> Stages | str:
    """The task at `address`, if version `data` of its dataset lies here, or a clause that says why not.

    Nothing is fetched to find out. `data` is the beginning of a fingerprint.
    """

    def opened() -> Stages | str:
        name, task = split_address(address)
        if dataset_folder(parse_address(name)[0]) is None:
            return f"the dataset {name} is not on this machine, and nothing is fetched for labels"
        dataset = open_dataset(name)
        if not dataset.is_local:
            return f"the tables of {name} are not on this machine, and nothing is fetched for labels"
        here = dataset.database.fingerprint
        if not here.startswith(data):
            return f"the data on this machine are version {here[:8]}, the results are of {data}"
        return Stages(dataset, dataset.task(task), regime)

    return _or_why(opened)


def labels_here(address: str, data: str) -> SplitLabels | str:
    """The test labels of the task at `address`, which are the same in both regimes, or why they are not at hand."""
    stages = stages_here(address, data)
    return stages if isinstance(stages, str) else _or_why(lambda: split_labels(stages, "test"))


def _or_why(make: Callable[[], T]) -> T | str:
    """What `make` gives, or the sentence of what keeps it from being read here, which keeps nobody from being ranked."""
    try:
        return make()
    except Exception as error:
        why = sentence(error)
        if why is None:
            raise
        return why


def read_predictions(path: Path) -> pa.Table:
    """The stored predictions in the file `path`.

    Raises:
        InputError: The file cannot be read, or is no table of predictions.
    """
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: predictions cannot be read: {sentence(error) or error}") from None
    if tuple(table.column_names) != COLUMNS:
        raise InputError(f"{path}: predictions have columns {table.column_names}, expected {list(COLUMNS)}")
    kinds = {"entity": pa.types.is_integer, "time": pa.types.is_timestamp, "split": pa.types.is_string}
    for name, fits in kinds.items():
        column = table[name]
        if not fits(column.type) or column.null_count:
            raise InputError(f"{path}: column {name!r} of predictions is {column.type} with {column.null_count} nulls")
    return table


def predictions_for(table: pa.Table, split: Split, examples: SplitLabels, where: str) -> NDArray[np.generic]:
    """The predictions of `split` as the method gave them, in the order of `examples`.

    Raises:
        InputError: They are about other examples, or have another shape. The message names the file, `where`.
    """
    rows = table.filter(pc.equal(table["split"], split))
    if rows.num_rows != len(examples):
        raise InputError(
            f"{where} holds {rows.num_rows} predictions for split {split!r}, which has {len(examples)} examples"
        )
    entity = rows["entity"].to_numpy()
    time = rows["time"].cast(pa.timestamp("ns")).cast(pa.int64()).to_numpy()
    apart = np.flatnonzero((entity != examples.entity) | (time != examples.time))
    if len(apart):
        raise InputError(
            f"{where}: row {apart[0]} of split {split!r} is about another example than that of the task's labels"
        )
    shape = expected_shape(examples.task, len(examples), examples.classes)
    return _array(rows["prediction"], shape, f"{where}: split {split!r}")


def _array(column: pa.ChunkedArray, shape: tuple[int, ...], where: str) -> NDArray[np.generic]:
    listed = pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
    if listed != (len(shape) > 1):
        raise InputError(
            f"{where} has predictions of type {column.type}, expected {'lists' if len(shape) > 1 else 'numbers'}"
        )
    if not listed:
        return np.asarray(column.to_numpy())
    lengths = pc.list_value_length(column).fill_null(-1).to_numpy()
    if (lengths != shape[1]).any():
        odd = int(lengths[lengths != shape[1]][0])
        raise InputError(f"{where} has a prediction of {max(odd, 0)} values, expected {shape[1]}")
    return np.asarray(pc.list_flatten(column).to_numpy()).reshape(shape)


def recomputed(table: pa.Table, stages: Stages, where: str) -> dict[str, Scores]:
    """Split → metric → value, of the splits that `table` holds.

    Raises:
        InputError: The predictions are not about the task's examples, or are none that can be scored.
    """
    held = set(table["split"].unique().to_pylist())
    if odd := sorted(held - set(SCORED)):
        raise InputError(f"{where} holds predictions for split {odd[0]!r}; there are 'val' and 'test'")
    found: dict[str, Scores] = {}
    for split in SCORED:
        if split in held:
            examples = split_labels(stages, split)
            try:
                predictions = predictions_for(table, split, examples, where)
                found[split] = examples.score(predictions)
                if stages.task.item_table is not None:
                    check_items(predictions, len(stages.dataset.database[stages.task.item_table]), stages.task.id)
            except (InputError, InvalidPredictionsError) as error:
                raise InputError(str(error) if str(error).startswith(where) else f"{where}: {error}") from None
    return found


def faults(result: Result, path: Path, stages: Stages) -> list[str]:
    """What keeps the scores of `result` from being those of the predictions in `path`, a sentence each; none: all hold."""
    ours = stages.dataset.database.fingerprint
    if result.dataset_fingerprint and result.dataset_fingerprint != ours:
        return [f"{path}: the result was made on data {result.dataset_fingerprint[:12]}, but the data here are {ours[:12]}"]
    if TaskType(result.task_type) is not stages.task.type:
        return [f"{path}: the result calls its task {result.task_type}, but {stages.task.id} is {stages.task.type}"]
    try:
        found = recomputed(read_predictions(path), stages, str(path))
    except InputError as error:
        return [str(error)]
    return list(mismatches(result.scores, found, str(path)))


def mismatches(stored: Mapping[str, Scores], found: Mapping[str, Scores], where: str) -> Iterator[str]:
    """A sentence for each stored score that `found` lacks or gives otherwise."""
    for split, scores in stored.items():
        if split not in found:
            yield f"{where}: split {split!r} has scores but no predictions"
            continue
        for metric, value in scores.items():
            again = found[split].get(metric)
            if again is None:
                yield f"{where}: {split} {metric} is stored as {value!r}, but the task has no such metric"
            elif not _equal(value, again):
                yield f"{where}: {split} {metric} is stored as {value!r}, but its predictions give {again!r}"


def _equal(one: float, other: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
