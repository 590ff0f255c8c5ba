"""The data scientist's arm: features as one hand-written SQL query per task, held to the same rule of time.

A query sees every table of the visible database by name, keys being row numbers, and a relation `seeds(seed, entity, cutoff,
time)`: the number of each example, its entity's row number and its two times. It returns `seed` and one column per
feature; for a recommendation also `item`, one row per candidate. A row may count only if its time lies before the seed's
`cutoff`. Nothing in SQL enforces that, so every fit audits it: for some cut-offs the query runs again on a database that
ends there, and any difference is an error.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.data.query import run_sql
from relbench_harness.data.stypes import is_number, is_text
from relbench_harness.errors import InputError, LookAheadError, nearest
from relbench_harness.features.block import Column, Features
from relbench_harness.features.encode import frequent, numbers, physical
from relbench_harness.home import home
from relbench_harness.protocol.method import Examples

SEEDS = "seeds"


@dataclass(frozen=True)
class SqlFeatures:
    """Features of the query in `folder`/<dataset>/<task>.sql.

    Attributes:
        folder: A path, or a folder of the harness's configs.
        audits: At how many cut-offs each fit checks that the query uses no row at or after the cut-off.
        most_categories: How many categories of a text column get a code.
    """

    folder: str = "sql"
    audits: int = 3
    most_categories: int = 1000

    def written_for(self, task: str) -> Path:
        """The query of `dataset/task`: what somebody wrote for this task alone."""
        dataset, _, name = task.rpartition("/")
        base = Path(self.folder).expanduser()
        if not base.is_dir():
            base = home("configs") / self.folder
        path = base / Path(dataset.partition("@")[0]).name / f"{name}.sql"
        if not path.is_file():
            known = [f"{p.parent.name}/{p.stem}" for p in base.glob("*/*.sql")]
            raise InputError(f"task {task} has no hand-written features: {path} is missing; {nearest(task, known)}")
        return path

    def fit(self, train: Examples) -> FittedSqlFeatures:
        path = self.written_for(train.task.id)
        query = Query(
            path.read_text(encoding="utf-8"), f"feature query {path.parent.name}/{path.name}", train.task.item_table
        )
        sample = train.take(_spread(train.cutoff, self.audits))
        query.audit(sample)
        vocabularies = {}
        columns = query.run(train).features
        for name in columns.column_names:
            if is_text(physical(columns.column(name)).type):
                vocabularies[name] = frequent(columns.column(name), self.most_categories)
        return FittedSqlFeatures(query, vocabularies, tuple(columns.column_names))


@dataclass(frozen=True)
class Answer:
    """Rows of a query, ascending in seed, one per seed or one per seed and item.

    Attributes:
        features: The other columns.
    """

    seed: NDArray[np.int64]
    item: NDArray[np.int64] | None
    features: pa.Table

    @cached_property
    def key(self) -> NDArray[np.int64]:
        """One number per row, distinct."""
        if self.item is None:
            return self.seed
        return self.seed * (int(self.item.max(initial=0)) + 1) + self.item


@dataclass(frozen=True)
class Query:
    """A feature query and its name in errors."""

    sql: str
    what: str
    item_table: str | None

    def run(self, examples: Examples) -> Answer:
        """Raises `InputError` where the query does not run or does not return what a feature query must."""
        rows = run_sql(self.sql, self._tables(examples, examples.database), self.what, threads=1)
        needed = ["seed"] if self.item_table is None else ["seed", "item"]
        for name in needed:
            if name not in rows.column_names:
                raise InputError(f"{self.what} returns no column {name!r}; {nearest(name, rows.column_names)}")
            if rows.column(name).null_count or not pa.types.is_integer(rows.column(name).type):
                raise InputError(f"{self.what}: column {name!r} must hold whole numbers without null")
        rows = rows.sort_by([(name, "ascending") for name in needed])
        seed, *rest = (np.asarray(rows.column(name).to_numpy(), dtype=np.int64) for name in needed)
        answer = Answer(seed, rest[0] if rest else None, rows.drop_columns(needed))
        self._check(answer, examples)
        return answer

    def _tables(self, examples: Examples, database: Database) -> dict[str, pa.Table]:
        if SEEDS in database:
            raise InputError(f"a table called {SEEDS!r} hides the examples from feature queries")
        seeds = {
            "seed": pa.array(np.arange(len(examples))),
            "entity": pa.array(examples.entity),
            "cutoff": pa.array(examples.cutoff).cast(pa.timestamp("ns")),
            "time": pa.array(examples.time).cast(pa.timestamp("ns")),
        }
        return {**{name: table.rows for name, table in database.items()}, SEEDS: pa.table(seeds)}

    def _check(self, answer: Answer, examples: Examples) -> None:
        if len(answer.seed) and (answer.seed[0] < 0 or answer.seed[-1] >= len(examples)):
            raise InputError(f"{self.what} returns a seed that was not asked about")
        if (answer.key[1:] == answer.key[:-1]).any():
            row = int(np.flatnonzero(answer.key[1:] == answer.key[:-1])[0])
            pair = "" if answer.item is None else f" with item {answer.item[row]}"
            raise InputError(f"{self.what} returns seed {answer.seed[row]}{pair} more than once")
        if answer.item is not None and len(answer.item):
            items = len(examples.database[self.item_table or ""])
            if answer.item.min() < 0 or answer.item.max() >= items:
                raise InputError(f"{self.what} returns an item that is no row of {self.item_table!r}")
        for field in answer.features.schema:
            kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
            if not (is_number(kind) or is_text(kind) or pa.types.is_null(kind)):
                raise InputError(f"{self.what}: feature {field.name!r} is {field.type}, not a number, truth value or text")

    def audit(self, examples: Examples) -> None:
        """Raises `LookAheadError` where an answer changes once the rows at and after the seed's cut-off are gone."""
        table = examples.database[examples.task.entity_table]
        for cutoff in np.unique(examples.cutoff):
            chosen = examples.take(np.flatnonzero(examples.cutoff == cutoff))
            keep = {table.name: int(chosen.entity.max()) + 1}
            if chosen.task.own_row_visible:
                for column, parent in table.references.items():
                    keep[parent] = max(keep.get(parent, 0), int(table.parents(column)[chosen.entity].max()) + 1)
            whole, cut = self.run(chosen), self.run(replace(chosen, database=chosen.database.upto(int(cutoff), keep)))
            faults = differences(whole, cut)
            if faults:
                when = np.datetime64(int(cutoff), "ns").astype("datetime64[s]")
                raise LookAheadError(
                    f"{self.what} uses rows at or after a seed's cut-off {when}: without them {faults} change; "
                    "every table's time must be below seeds.cutoff"
                )


@dataclass(frozen=True)
class FittedSqlFeatures:
    """A query with its vocabularies and its columns fixed."""

    query: Query
    vocabularies: dict[str, tuple[str, ...]]
    names: tuple[str, ...]

    def transform(self, examples: Examples) -> Features:
        """One row per example; an example that the query leaves out has no values."""
        answer = self.query.run(examples)
        place = np.full(len(examples), -1, dtype=np.int64)
        place[answer.seed] = np.arange(len(answer.seed))
        return Features(len(examples), tuple(self._column(answer, name, place) for name in self.names))

    def pairs(self, examples: Examples) -> tuple[NDArray[np.int64], NDArray[np.int64], Features]:
        """(p,) example and (p,) item of every candidate, ascending in example, and their features."""
        answer = self.query.run(examples)
        assert answer.item is not None
        place = np.arange(len(answer.seed))
        columns = tuple(self._column(answer, name, place) for name in self.names)
        return answer.seed, answer.item, Features(len(place), columns)

    def _column(self, answer: Answer, name: str, place: NDArray[np.int64]) -> Column:
        values = answer.features.column(name)
        if name in self.vocabularies:
            vocabulary = self.vocabularies[name]
            found = pc.index_in(physical(values).cast(pa.large_string()), value_set=pa.array(vocabulary, pa.large_string()))
            codes = np.asarray(pc.fill_null(found, -1).to_numpy(), dtype=np.int32)
            return Column(name, _placed(codes, place, -1), vocabulary)
        return Column(name, _placed(numbers(values), place, np.nan))


def _placed(values: NDArray[np.generic], place: NDArray[np.int64], none: float) -> NDArray[np.generic]:
    if not len(values):
        return np.full(len(place), none, dtype=values.dtype)
    return np.where(place >= 0, values[place], values.dtype.type(none))


def _spread(cutoff: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Questions at `most` cut-offs, evenly spread over those there are; the last, which sees no later row, is left out."""
    distinct = np.unique(cutoff)[:-1]
    if not len(distinct) or most < 1:
        return np.zeros(0, np.int64)
    chosen = distinct[np.unique(np.linspace(0, len(distinct) - 1, most).round().astype(np.int64))]
    return np.flatnonzero(np.isin(cutoff, chosen))


def differences(whole: Answer, cut: Answer) -> str:
    """What differs between two answers to the same seeds, in words; empty if nothing does."""
    if not np.array_equal(whole.key, cut.key):
        return "the rows returned"
    changed = []
    for name in whole.features.column_names:
        one, two = whole.features.column(name), cut.features.column(name)
        if is_text(physical(one).type) or is_text(physical(two).type):
            same = one.cast(pa.large_string()).equals(two.cast(pa.large_string()))
        else:
            same = np.allclose(numbers(one), numbers(two), rtol=1e-9, atol=1e-12, equal_nan=True)
        if not same:
            changed.append(repr(name))
    return ", ".join(changed[:5])
