"""Deep feature synthesis as a block: featuretools' definitions, executed by DuckDB (the default), Spark or featuretools."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from relbench_harness.errors import InputError, nearest
from relbench_harness.features.block import Column, Features
from relbench_harness.features.dfs.backend import naming
from relbench_harness.features.dfs.definitions import AGGREGATIONS, TRANSFORMS, Feature, Schema, category_origin, define
from relbench_harness.features.dfs.duckdb import DuckDB
from relbench_harness.features.dfs.engine import Engine
from relbench_harness.features.dfs.origins import origins_of
from relbench_harness.features.dfs.reference import calculate
from relbench_harness.features.dfs.spark import Spark, session, write_tables
from relbench_harness.features.encode import ColumnKind, frequent
from relbench_harness.protocol.method import Examples

ENGINES = ("duckdb", "featuretools", "spark")


@dataclass(frozen=True)
class DeepFeatureSynthesis:
    """featuretools' features of the example's entity, point-in-time correct.

    Attributes:
        depth: How many primitives and joins may be stacked.
        primitives: featuretools' names of aggregations and transforms.
        engine: `duckdb`, `spark` (needs the extra of that name), or `featuretools` for the reference.
        most_categories: How many categories of a column get a code.
        threads: DuckDB's threads. One gives the same digits each time; several, or None for all, add up in another order
            each time, so that last digits, and with them a tree's splits, differ from run to run.
        memory_mb: Memory beyond which DuckDB spills to disk.
    """

    depth: int = 2
    primitives: tuple[str, ...] = AGGREGATIONS + TRANSFORMS
    engine: str = "duckdb"
    most_categories: int = 1000
    threads: int | None = 1
    memory_mb: int | None = None

    def within(self, memory_mb: int) -> DeepFeatureSynthesis:
        """Half of the memory is the engine's, unless it has a limit of its own; results take the rest."""
        return self if self.memory_mb is not None else replace(self, memory_mb=memory_mb // 2)

    def fit(self, train: Examples) -> FittedSynthesis:
        if self.engine not in ENGINES:
            raise InputError(f"no feature engine {self.engine!r}; {nearest(self.engine, ENGINES)}")
        if self.depth < 1:
            raise InputError(f"depth of deep feature synthesis must be at least 1, got {self.depth}")
        known = train.known
        schema = Schema.of(known, train.task.entity_table)
        features = define(schema, known, self.depth, tuple(self.primitives))
        vocabularies = {}
        for feature in features:
            origin = category_origin(schema, feature)
            if origin is not None and origin not in vocabularies:
                table, column = origin
                vocabularies[origin] = frequent(known[table].rows.column(column), self.most_categories)
        return FittedSynthesis(self, schema, tuple(features), vocabularies)


@dataclass(frozen=True)
class FittedSynthesis:
    """Fixed definitions.

    Attributes:
        features: featuretools' feature objects.
        vocabularies: (table, column) → the categories known at training.
        seconds: DuckDB's queries take at most so long, or `TimeoutError` is raised.
    """

    settings: DeepFeatureSynthesis
    schema: Schema
    features: tuple[Feature, ...]
    vocabularies: Mapping[tuple[str, str], tuple[str, ...]]
    seconds: float | None = None

    @property
    def names(self) -> list[str]:
        return [feature.get_name() for feature in self.features]

    def only(self, names: Sequence[str]) -> FittedSynthesis:
        """The features called `names` alone, which cost less than all."""
        wanted = set(names)
        return replace(self, features=tuple(f for f in self.features if f.get_name() in wanted))

    def limited(self, seconds: float) -> FittedSynthesis:
        """The same, which gives up after so many seconds."""
        return replace(self, seconds=seconds)

    def transform(self, examples: Examples) -> Features:
        if not self.features or not len(examples):
            empty = np.zeros(len(examples))
            return Features(len(examples), tuple(self._column(f, empty, ()) for f in self.features))
        return self._reference(examples) if self.settings.engine == "featuretools" else self._sql(examples)

    def _reference(self, examples: Examples) -> Features:
        matrix = calculate(self.schema, self.features, examples)
        columns = []
        for feature in self.features:
            values = matrix[feature.get_name()]
            if category_origin(self.schema, feature) is None:
                numbers = pd.to_numeric(values.astype(object), errors="coerce").astype(float)
                columns.append(self._column(feature, numbers.to_numpy(), ()))
            else:
                codes, different = pd.factorize(values.astype(object))
                columns.append(self._column(feature, codes, [str(value) for value in different]))
        return Features(len(examples), tuple(columns))

    def _sql(self, examples: Examples) -> Features:
        seeds, order = distinct_seeds(examples)
        with self._backend(examples) as backend, naming(self.features):
            values = self._run(backend, seeds)
            columns = []
            for feature in self.features:
                # each is given up once it is in the order of the examples: two copies of all would be much memory
                columns.append(self._column(feature, values.pop(0)[order], self._texts(backend, feature)))
        return Features(len(examples), tuple(columns))

    @contextmanager
    def _backend(self, examples: Examples) -> Iterator[DuckDB | Spark]:
        if self.settings.engine == "duckdb":
            duckdb = DuckDB(examples.database, self.kinds, self.settings.threads, self.settings.memory_mb)
            with duckdb as duck, duck.limited(self.seconds):
                yield duck
            return
        with tempfile.TemporaryDirectory(prefix="relbench-harness-") as folder:
            write_tables(examples.database, Path(folder))
            paths = {name: str(Path(folder) / f"{name}.parquet") for name in examples.database}
            running = session(self.settings.threads, self.settings.memory_mb)
            with Spark(examples.database, paths, self.kinds, spark=running) as spark:
                yield spark

    def write(self, spark: Spark, seeds: NDArray[np.int64], folder: Path) -> None:
        """Features of seeds ((2, m) rows and times) computed by Spark where the data is, as Parquet files in `folder`.

        Columns: `row`, `t`, and the features by name; categories as codes in the order of `spark.vocabularies`.
        """
        relation = spark.seeds(seeds[0], seeds[1])
        spark.write(Engine(spark, self.schema).evaluate(self.schema.target, self.features, relation, self.names), folder)

    def _run(self, backend: DuckDB | Spark, seeds: NDArray[np.int64]) -> list[NDArray[np.float64]]:
        """(m,) values of each feature for distinct seeds, in their order."""
        engine = Engine(backend, self.schema)
        found = engine.evaluate(self.schema.target, self.features, backend.seeds(seeds[0], seeds[1]))
        # seeds are numbered by (row, t) to find the place of each result
        stamps = np.unique(seeds[1])
        keys = seeds[0] * len(stamps) + np.searchsorted(stamps, seeds[1])
        values = [np.empty(len(keys)) for _ in self.features]
        for batch in backend.batches(found):
            rows, t = (np.asarray(batch.column(name)) for name in ("row", "t"))
            place = np.searchsorted(keys, rows * len(stamps) + np.searchsorted(stamps, t))
            for index, column in enumerate(values):
                column[place] = _doubles(batch.column(f"f{index}"))
        return values

    @cached_property
    def kinds(self) -> Mapping[str, Mapping[str, ColumnKind]]:
        """Table → the attributes that features read, and how: what a backend must hold."""
        found: dict[str, dict[str, ColumnKind]] = {}
        for feature in self._leaves():
            frame = self.schema.frames[feature.dataframe_name]
            if feature.column_name in frame.kinds:
                found.setdefault(frame.table, {})[feature.column_name] = frame.kinds[feature.column_name]
        return found

    def _leaves(self) -> Iterator[Feature]:
        for feature in self.features:
            for base in (feature, *feature.get_dependencies(deep=True)):
                if not base.base_features:
                    yield base

    def _texts(self, backend: DuckDB | Spark, feature: Feature) -> Sequence[str]:
        origin = category_origin(self.schema, feature)
        return () if origin is None else [str(v) for v in backend.vocabularies[origin].to_pylist()]

    def _column(self, feature: Feature, values: NDArray[np.generic], texts: Sequence[str]) -> Column:
        """A feature's column; codes into `texts` become codes into the vocabulary known at training."""
        origin, origins = category_origin(self.schema, feature), origins_of(self.schema, feature)
        if origin is None:
            return Column(feature.get_name(), values.astype(np.float64), origins=origins)
        vocabulary = self.vocabularies[origin]
        found = pc.index_in(pa.array(texts, pa.large_string()), value_set=pa.array(vocabulary, pa.large_string()))
        known = np.append(np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), dtype=np.int32), np.int32(-1))
        codes = np.where(np.isnan(values.astype(np.float64)), -1, values).astype(np.int64)
        return Column(feature.get_name(), known[codes], vocabulary, origins)


def distinct_seeds(examples: Examples) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(2, m) the distinct (row, cut-off) in ascending order, and for each example the place of its own."""
    order = np.lexsort((examples.cutoff, examples.entity))
    rows, times = examples.entity[order], examples.cutoff[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (rows[1:] != rows[:-1]) | (times[1:] != times[:-1])
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.cumsum(new) - 1
    return np.stack([rows[new], times[new]]), place


def _doubles(values: pa.Array) -> NDArray[np.float64]:
    """(rows,) float64 with NaN for null."""
    floats = pc.fill_null(values.cast(pa.float64(), safe=False), np.nan)
    return np.asarray(floats.to_numpy(zero_copy_only=False), dtype=np.float64)
