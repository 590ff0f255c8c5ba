"""The tables as featuretools sees them, and the feature definitions it makes of them.

Invariant: what a frame of the entity set may show at a time is what an example may see: frames have time indexes, only
the example's own row is always visible. Keys link frames and are never themselves features.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.errors import InputError, nearest
from relbench_harness.features.encode import ColumnKind, instants, kind_of, numbers, physical

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import featuretools as ft
    from featuretools.feature_base import AggregationFeature, DirectFeature, IdentityFeature
    from featuretools.primitives import get_aggregation_primitives, get_transform_primitives
    from woodwork.logical_types import (
        BooleanNullable,
        Categorical,
        Datetime,
        Double,
        IntegerNullable,
        NaturalLanguage,
    )

# featuretools warns of features that it tries to define twice, which it then does not
logging.getLogger("featuretools").setLevel(logging.ERROR)

Feature = Any
"""One of featuretools' feature objects (its package has no types)."""

AGGREGATIONS = ("sum", "std", "max", "skew", "min", "mean", "count", "percent_true", "num_unique", "mode")
"""featuretools' default aggregation primitives."""
TRANSFORMS = ("day", "year", "month", "weekday", "haversine", "num_words", "num_characters")
"""featuretools' default transform primitives."""


@dataclass(frozen=True)
class Frame:
    """One frame of the entity set: a table, or a copy of it in another role.

    Attributes:
        index: The frame's index column: the table's key, or a made one.
        timed: Whether rows count only once they are older than the cut-off.
        references: Foreign key → frame it names.
        kinds: How each attribute is read.
        time: The table's time column.
    """

    name: str
    table: str
    index: str
    timed: bool
    references: Mapping[str, str]
    kinds: Mapping[str, ColumnKind]
    time: str | None = None


@dataclass(frozen=True)
class Schema:
    """The frames of an entity set by name, and which of them the examples are about."""

    frames: Mapping[str, Frame]
    target: str

    @staticmethod
    def of(known: Database, entity: str) -> Schema:
        """The frames of a database for examples about rows of `entity`.

        An entity with a time, or one that refers to itself, gets a copy without time, which the examples are about: an
        example's own row is visible, while other paths see rows of that table in their own time. A foreign key that
        would close a circle (a table that refers to itself) names a copy of its parent instead, as featuretools follows
        keys without end.
        """
        frames: dict[str, Frame] = {}
        own = known[entity]
        copied = own.time is not None or entity in own.references.values()
        # names of features can hold this name, and those of results may not change
        target = _unused(f"{entity} asked", known) if copied else entity
        above: dict[str, set[str]] = {name: set() for name in known}
        for name, table in known.items():
            references = {}
            for key, parent in table.references.items():
                references[key] = parent
                if name in _reachable(parent, above):
                    references[key] = _unused(f"{parent} of {name}.{key}", known)
                    frames[references[key]] = _frame(references[key], known[parent], {})
                else:
                    above[name].add(parent)
            frames[name] = _frame(name, table, references)
        if copied:
            frames[target] = _frame(target, own, frames[entity].references, timed=False)
        return Schema(frames, target)

    def relationships(self) -> list[tuple[str, str, str, str]]:
        """(parent frame, its index, child frame, foreign key), the children of the entity under its copy too."""
        found = []
        target = self.frames[self.target]
        for frame in self.frames.values():
            for key, parent in frame.references.items():
                found.append((parent, self.frames[parent].index, frame.name, key))
                own = self.frames[parent].table == target.table and frame.name != self.target
                if own and parent != self.target:
                    # the copies of a self reference have no children of their own
                    found.append((self.target, target.index, frame.name, key))
        return found

    def entity_set(self, database: Database, rows: int | None = None) -> Any:
        """featuretools' entity set of the first `rows` rows of each table (all if None)."""
        made = ft.EntitySet("database")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for frame in self.frames.values():
                table = database[frame.table]
                table = table if rows is None else table.prefix(rows)
                data, types = _data(frame, table)
                made.add_dataframe(
                    dataframe_name=frame.name,
                    dataframe=data,
                    index=frame.index,
                    time_index=table.time if frame.timed else None,
                    logical_types=types,
                    semantic_tags={c: {"foreign_key"} for c in frame.references},
                    already_sorted=True,
                )
            for relationship in self.relationships():
                made.add_relationship(*relationship)
        return made


def _reachable(table: str, above: Mapping[str, set[str]]) -> set[str]:
    """`table` and everything above it."""
    found = {table}
    waiting = [table]
    while waiting:
        for parent in above[waiting.pop()] - found:
            found.add(parent)
            waiting.append(parent)
    return found


def _unused(name: str, taken: Iterable[str]) -> str:
    while name in taken:
        name += "'"
    return name


def _frame(name: str, table: Table, references: Mapping[str, str], timed: bool = True) -> Frame:
    index = table.key or _unused("row", table.rows.column_names)
    kinds = {column: kind_of(table, column) for column in table.attributes}
    if table.time is not None:
        kinds[table.time] = ColumnKind.INSTANT
    known = {column: kind for column, kind in kinds.items() if kind is not None}
    return Frame(name, table.name, index, timed and table.time is not None, dict(references), known, table.time)


def _data(frame: Frame, table: Table) -> tuple[pd.DataFrame, dict[str, Any]]:
    count = len(table)
    data: dict[str, Any] = {frame.index: pd.array(np.arange(count), dtype="Int64")}
    types: dict[str, Any] = {frame.index: IntegerNullable}
    for key in frame.references:
        parents = table.parents(key)
        data[key] = pd.array(parents, dtype="Int64")
        data[key][parents < 0] = pd.NA
        types[key] = IntegerNullable
    for column, kind in frame.kinds.items():
        values = table.rows.column(column)
        data[column], types[column] = _series(values, kind)
    return pd.DataFrame(data, index=pd.RangeIndex(count)), types


def _series(values: pa.ChunkedArray, kind: ColumnKind) -> tuple[Any, Any]:
    if kind is ColumnKind.INSTANT:
        return instants(values).view("datetime64[ns]"), Datetime
    if kind is ColumnKind.NUMBER and pa.types.is_boolean(values.type):
        return values.to_pandas().astype("boolean").array, BooleanNullable
    if kind is ColumnKind.NUMBER:
        return numbers(values), Double
    texts = physical(values).cast(pa.large_string()).to_pandas()
    if kind is ColumnKind.CATEGORY:
        return pd.Categorical(texts, categories=sorted(texts.dropna().unique())), Categorical
    return texts.astype("string").array, NaturalLanguage


def split_primitives(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Aggregation and transform primitives among featuretools' names.

    Raises:
        InputError: An unknown name.
    """
    aggregations, transforms = get_aggregation_primitives(), get_transform_primitives()
    for name in names:
        if name not in aggregations and name not in transforms:
            raise InputError(f"no primitive {name!r} in featuretools; {nearest(name, [*aggregations, *transforms])}")
    wanted = list(names)
    return [n for n in wanted if n in aggregations], [n for n in wanted if n in transforms]


def define(schema: Schema, database: Database, depth: int, primitives: tuple[str, ...]) -> list[Feature]:
    """featuretools' own definitions up to `depth`, without those whose value would be a key."""
    aggregations, transforms = split_primitives(primitives)
    small = schema.entity_set(database, rows=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        features = ft.dfs(
            entityset=small,
            target_dataframe_name=schema.target,
            agg_primitives=aggregations,
            trans_primitives=transforms,
            max_depth=depth,
            features_only=True,
        )
    return [feature for feature in features if not (_is_key(schema, feature) or _gathers_examples(schema, feature))]


def _gathers_examples(schema: Schema, feature: Feature) -> bool:
    """Whether something is aggregated over the copy that has no time: what it gathers may lie after the example."""
    target = schema.frames[schema.target]
    return target.name != target.table and any(
        relationship.child_name == schema.target
        for part in (feature, *feature.get_dependencies(deep=True))
        if isinstance(part, AggregationFeature)
        for _, relationship in part.relationship_path
    )


def _is_key(schema: Schema, feature: Feature) -> bool:
    """Whether the feature's value is a primary or foreign key: own, a parent's, or a most frequent, first or last one."""
    if isinstance(feature, IdentityFeature):
        frame = schema.frames[feature.dataframe_name]
        return feature.column_name == frame.index or feature.column_name in frame.references
    if isinstance(feature, DirectFeature) or _is_one_of_its_values(feature):
        return _is_key(schema, feature.base_features[0])
    return False


def _is_one_of_its_values(feature: Feature) -> bool:
    """Whether the feature aggregates rows by picking the value of one."""
    return isinstance(feature, AggregationFeature) and feature.primitive.name in ("mode", "first", "last")


def category_origin(schema: Schema, feature: Feature) -> tuple[str, str] | None:
    """(table, column) whose categories the feature's values are; None if they are numbers."""
    if isinstance(feature, IdentityFeature):
        frame = schema.frames[feature.dataframe_name]
        return (frame.table, feature.column_name) if frame.kinds.get(feature.column_name) is ColumnKind.CATEGORY else None
    if isinstance(feature, DirectFeature) or _is_one_of_its_values(feature):
        return category_origin(schema, feature.base_features[0])
    return None
