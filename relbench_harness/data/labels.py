"""Label tables: who is asked when, and the answer, exactly as RelBench 3 makes them.

Labels are the one place that looks at times at or after an example's own: a label of time t comes from (t, t + Δ].
Hosted `{train,val,test}.parquet` are used where a task's folder has them, else the task's SQL is run in DuckDB.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import sqlglot
from numpy.typing import NDArray

from relbench_harness.data.canonical import source_row_numbers
from relbench_harness.data.database import Database
from relbench_harness.data.query import CutQueries, run_sql
from relbench_harness.data.table import nanoseconds
from relbench_harness.data.task import Kind, Task, TaskType
from relbench_harness.errors import InputError, nearest

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


class EmptySplitError(InputError):
    """A split without labels; `times` are those at which it asks."""

    def __init__(self, task: Task, split: Split, times: pd.DatetimeIndex) -> None:
        super().__init__(f"task {task.id}: split {split!r} is empty")
        self.times = times


class Cuts(NamedTuple):
    """The two instants that divide a dataset's time into train, validation and test."""

    val: pd.Timestamp
    test: pd.Timestamp


@dataclass(frozen=True)
class LabelTable:
    """Questions and answers, by time, then entity; hosted ones in the order in which they are hosted.

    Attributes:
        entity: (n,) row number of the entity.
        time: (n,) nanoseconds since 1970.
        target: (n,) numbers, class names, or lists (item row numbers; 0/1 per label of a multilabel task).
    """

    entity: NDArray[np.int64]
    time: NDArray[np.int64]
    target: pa.Array

    def __len__(self) -> int:
        return len(self.entity)

    def take(self, rows: NDArray[np.int64]) -> LabelTable:
        return LabelTable(self.entity[rows], self.time[rows], self.target.take(pa.array(rows)))

    def frame(self, task: Task) -> pd.DataFrame:
        """As RelBench shows it: the task's own column names."""
        return pd.DataFrame(
            {
                task.time_col: pd.to_datetime(self.time),
                task.entity_col: self.entity,
                task.target: self.target.to_pandas(),
            }
        )


def split_labels(
    task: Task, database: Database, cuts: Cuts, split: Split, regenerate: bool = False, complete_until: int | None = None
) -> LabelTable:
    """The label table of `split`.

    Args:
        database: The whole database, times after the test cut included, no column removed.
        regenerate: Run the SQL even where labels are hosted.
        complete_until: Nanoseconds through which rows are all there; None where that is the last row's time.

    Raises:
        InputError: SQL that does not run or lacks a column, a window that reaches past the data, an empty split.
    """
    if cuts.test - cuts.val < task.horizon:
        raise InputError(
            f"task {task.id}: its horizon {task.horizon} is longer than the {cuts.test - cuts.val} between the "
            "validation and the test timestamp"
        )
    times = pd.DatetimeIndex([])
    hosted = None if task.folder is None or regenerate else task.folder / f"{split}.parquet"
    if hosted is not None and hosted.is_file():
        labels = _hosted(task, database, hosted)
    elif task.kind is Kind.EXTERNAL:
        raise InputError(f"task {task.id}: labels of an external task are hosted, but {split}.parquet is missing")
    elif task.kind is Kind.AUTOCOMPLETE:
        labels = _autocomplete(task, database, cuts, split)
    else:
        seen = database if split == "test" else through(database, cuts.test)
        last = seen.span[1] if complete_until is None else complete_until
        times = split_timestamps(task, (training_begins(task, seen), last), cuts, split)
        labels = _without_dangling(task, sql_labels(task, seen, times), through(database, cuts.test))
    if len(labels) == 0:
        raise EmptySplitError(task, split, times)
    return labels


def through(database: Database, t: pd.Timestamp) -> Database:
    """The rows at or before `t`: what labels of windows that end at `t` are made from."""
    return database.upto(nanoseconds(t) + 1)


def split_timestamps(task: Task, span: tuple[int, int], cuts: Cuts, split: Split) -> pd.DatetimeIndex:
    """The times at which `split` asks, given the first and last time of the data it may use.

    This is RelBench's rule, but for two points: training begins with the rows that labels are made of, where RelBench begins
    with the oldest row of any table, and the last window of validation may end after the last row before the test timestamp.
    """
    first, last = pd.Timestamp(span[0]), pd.Timestamp(span[1])
    if split == "train":
        times = pd.date_range(start=cuts.val - task.horizon, end=first, freq=-task.horizon)
        if len(times) < 3:
            raise InputError(
                f"task {task.id}: only {len(times)} training windows of {task.horizon} fit between the first row "
                f"({first}) and the validation timestamp ({cuts.val}); at least 3 are needed"
            )
        return times
    start = cuts.val if split == "val" else cuts.test
    # windows of validation end by the test timestamp, whether or not a row lies shortly before it
    end = cuts.test if split == "val" else last
    if start + task.horizon > end:
        raise InputError(
            f"task {task.id}: the {split} window ({start}, {start + task.horizon}] reaches past the data, "
            f"which end at {end}"
        )
    latest = end - task.horizon
    stop = min(start + task.horizon * (task.num_eval_timestamps - 1), latest)
    return pd.date_range(start=start, end=stop, freq=task.horizon)


def sql_labels(task: Task, database: Database, timestamps: pd.DatetimeIndex) -> LabelTable:
    """The labels that the task's SQL gives at `timestamps` on the rows of `database`, in canonical order.

    The SQL sees every table by name, a relation `timestamps(timestamp)`, and `{timedelta}` replaced by Δ.
    """
    if "timestamps" in database:
        raise InputError(f"task {task.id}: a table of the database is called 'timestamps', as the relation its SQL needs")
    tables = {name: table.rows for name, table in database.items()} | timestamps_relation(timestamps)
    # several threads add up in another order each time, and labels that differ in a last digit train other models
    rows = run_sql(label_sql(task), tables, _source(task), threads=1)
    return _label_table(task, rows, _source(task))


class Window(NamedTuple):
    """A label window: it begins after `start`, and its label is made of rows older than `end` (nanoseconds)."""

    start: int
    end: int


def window_labels(task: Task, database: Database, windows: Iterable[Window]) -> Iterator[tuple[Window, LabelTable]]:
    """Each window with the labels that the task's SQL gives on the rows older than its end, those that are known.

    The SQL may give no value where it lacks rows (a mean of nothing); such labels are left out.
    """
    sql = label_sql(task)
    with CutQueries(database) as queries:
        for window in windows:
            stamp = timestamps_relation(pd.DatetimeIndex([pd.Timestamp(window.start)]))
            rows = queries.run(sql, window.end, stamp, _source(task))
            yield window, _label_table(task, _known(task, rows), _source(task))


def _known(task: Task, rows: pa.Table) -> pa.Table:
    """`rows` whose target is neither null nor, for a number, NaN or infinite."""
    if task.target not in rows.column_names:
        return rows
    target = rows.column(task.target)
    known = pc.is_finite(target) if pa.types.is_floating(target.type) else pc.is_valid(target)
    return rows.filter(pc.fill_null(known, False))


def training_begins(task: Task, database: Database) -> int:
    """The time before which training does not ask, in nanoseconds: labels of earlier windows are made of no rows.

    A task that was written from a predictive query begins with the oldest row of the tables that its SQL reads (of the entity's
    own only where it reads no other). One written by hand begins a window earlier, so that it has all of RelBench's labels.
    """
    read = tables_read(task, database)
    firsts = [
        int(times[0])
        for name in read - {task.entity_table} or read
        if (times := database[name].times) is not None and len(times)
    ]
    first = min(firsts, default=database.span[0])
    return max(database.span[0], first if task.query is not None else first - task.horizon.value)


def tables_read(task: Task, database: Database) -> frozenset[str]:
    """The tables with a time that the task's SQL reads: all there are, where the SQL cannot be parsed or names none."""
    timed = {name for name, table in database.items() if table.times is not None}
    try:
        parsed = sqlglot.parse_one(task.sql or "", dialect="duckdb")
        named = {table.name.casefold() for table in parsed.find_all(sqlglot.exp.Table)}
    except sqlglot.errors.SqlglotError:
        named = set()
    return frozenset({name for name in timed if name.casefold() in named} or timed)


def label_sql(task: Task) -> str:
    """The task's SQL with its horizon put in. Raises `InputError` where it has none."""
    if task.sql is None:
        raise InputError(f"task {task.id} has no SQL to make labels from")
    return task.sql.replace("{timedelta}", str(task.horizon))


def _source(task: Task) -> str:
    return f"task {task.id}: its SQL"


def timestamps_relation(timestamps: pd.DatetimeIndex) -> dict[str, pa.Table]:
    """The relation by which a task's SQL is given its times."""
    stamps = pa.array(timestamps.as_unit("ns").asi8).cast(pa.timestamp("ns"))
    return {"timestamps": pa.table({"timestamp": stamps})}


def _label_table(task: Task, rows: pa.Table, what: str) -> LabelTable:
    """What the SQL yields, in canonical order: by time, then entity, lists ascending."""
    labels = _checked(task, rows, what)
    return labels.take(np.lexsort((labels.entity, labels.time)))


def _checked(task: Task, rows: pa.Table, what: str) -> LabelTable:
    """Rows of labels whose entities and items are row numbers, in the order they have."""
    for column in (task.time_col, task.entity_col, task.target):
        if column not in rows.column_names:
            raise InputError(f"{what} yields no column {column!r}; {nearest(column, rows.column_names)}")
    time, entity = rows.column(task.time_col), rows.column(task.entity_col)
    if not (pa.types.is_timestamp(time.type) or pa.types.is_date(time.type)):
        raise InputError(f"{what}: column {task.time_col!r} is no time but {time.type}")
    if not (pa.types.is_integer(entity.type) or pa.types.is_floating(entity.type)):
        raise InputError(f"{what}: column {task.entity_col!r} is {entity.type}, not the key of {task.entity_table!r}")
    # a row without an entity asks about nobody
    rows = rows.filter(pc.and_(pc.is_valid(entity), pc.is_valid(time)))
    at = np.asarray(rows.column(task.time_col).cast(pa.timestamp("ns")).cast(pa.int64()).to_numpy())
    who = np.asarray(rows.column(task.entity_col).cast(pa.int64()).to_numpy())
    return LabelTable(who, at, _target(task, _whole_array(rows.column(task.target)), what))


def _target(task: Task, target: pa.Array, what: str) -> pa.Array:
    if task.type in (TaskType.RECOMMENDATION, TaskType.MULTILABEL) and not _is_list(target):
        raise InputError(f"{what}: target {task.target!r} of a {task.type} task is {target.type}, not a list")
    if task.type is TaskType.RECOMMENDATION:
        if not pa.types.is_integer(target.type.value_type) and len(target.flatten()):
            raise InputError(f"{what}: target {task.target!r} lists {target.type.value_type}, not keys")
        return _sorted_lists(target)
    if task.kind is Kind.EXTERNAL:
        return target
    if target.null_count:
        raise InputError(f"{what}: target {task.target!r} is null in {target.null_count:,} of {len(target):,} rows")
    if pa.types.is_floating(target.type):
        odd = len(target) - (pc.sum(pc.is_finite(target)).as_py() or 0)
        if odd:
            raise InputError(f"{what}: target {task.target!r} is NaN or infinite in {odd:,} of {len(target):,} rows")
    return target


def _whole_array(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _is_list(values: pa.Array | pa.ChunkedArray) -> bool:
    return bool(pa.types.is_list(values.type) or pa.types.is_large_list(values.type))


def list_parts(target: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(n + 1,) offsets and (total,) values of a list array of integers."""
    return _offsets(target), np.asarray(target.flatten().cast(pa.int64()))


def _offsets(target: pa.Array) -> NDArray[np.int64]:
    lengths = np.asarray(pc.fill_null(pc.list_value_length(target), 0)).astype(np.int64)
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])


def _rebuild(offsets: NDArray[np.int64], values: NDArray[np.int64]) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(values))


def _sorted_lists(target: pa.Array) -> pa.Array:
    offsets, values = list_parts(target)
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    return _rebuild(offsets, values[np.lexsort((values, owner))])


def _without_dangling(task: Task, labels: LabelTable, known: Database) -> LabelTable:
    """Labels of entities, and items, that exist at the test cut (RelBench's rule for every split)."""
    keep = labels.entity < len(known[task.entity_table])
    target = labels.target
    if task.item_table is not None:
        offsets, values = list_parts(target)
        inside = values < len(known[task.item_table])
        target = _rebuild(np.concatenate([[0], np.cumsum(inside)])[offsets].astype(np.int64), values[inside])
        keep &= np.diff(np.concatenate([[0], np.cumsum(inside)])[offsets]) > 0
    rows = np.flatnonzero(keep)
    return LabelTable(labels.entity, labels.time, target).take(rows)


def _autocomplete(task: Task, database: Database, cuts: Cuts, split: Split) -> LabelTable:
    """Every row of the entity table whose time falls in the split, labelled by its target column where not null."""
    table = database[task.entity_table]
    if task.target not in table.rows.column_names:
        raise InputError(
            f"task {task.id}: table {table.name!r} has no column {task.target!r}; "
            + nearest(task.target, table.rows.column_names)
        )
    if task.target in table.references or task.target in (table.key, table.time):
        raise InputError(f"task {task.id}: target {task.target!r} is a key or the time of {table.name!r}")
    assert table.times is not None  # checked where the task was read
    bounds: dict[Split, tuple[int, int]] = {
        "train": (np.iinfo(np.int64).min, nanoseconds(cuts.val)),
        "val": (nanoseconds(cuts.val), nanoseconds(cuts.test)),
        "test": (nanoseconds(cuts.test), np.iinfo(np.int64).max),
    }
    after, upto = bounds[split]
    first, last = np.searchsorted(table.times, [after, upto], side="right")
    target = table.rows.column(task.target).slice(first, last - first)
    if pa.types.is_floating(target.type):
        target = pc.if_else(pc.is_nan(target), pa.scalar(None, target.type), target)
    rows = np.flatnonzero(np.asarray(pc.is_valid(target)))
    values = _target(task, _whole_array(target.take(pa.array(rows))), f"task {task.id}: {table.name}.{task.target}")
    return LabelTable((rows + first).astype(np.int64), table.times[rows + first], values)


def _hosted(task: Task, database: Database, path: Path) -> LabelTable:
    """Labels as they lie on disk, in their order, their keys turned into canonical row numbers."""
    try:
        rows = pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise InputError(f"{path} is not a parquet file: {' '.join(str(error).split())}") from None
    if task.entity_col in rows.column_names:
        rows = _replaced(rows, task.entity_col, _rows_of(database, task.entity_table, rows[task.entity_col], path))
    if task.item_table is not None and task.target in rows.column_names and _is_list(rows[task.target]):
        lists = _whole_array(rows[task.target])
        items = _rows_of(database, task.item_table, lists.flatten(), path)
        rows = _replaced(rows, task.target, _rebuild(_offsets(lists), np.asarray(items)))
    return _checked(task, rows, str(path))


def _replaced(rows: pa.Table, column: str, values: pa.Array) -> pa.Table:
    return rows.set_column(rows.column_names.index(column), column, values)


def _rows_of(database: Database, table: str, keys: pa.Array | pa.ChunkedArray, path: Path) -> pa.Array:
    """Row numbers of `keys`; a key that is null stays null, one that names nothing is an error."""
    numbers = source_row_numbers(database[table], keys, f"{path}: a key of {table!r}")
    absent = np.flatnonzero(np.asarray(pc.is_null(numbers)) & np.asarray(pc.is_valid(keys)))
    if len(absent):
        raise InputError(f"{path}: entity {keys[int(absent[0])].as_py()!r} is not in table {table!r}")
    return numbers
