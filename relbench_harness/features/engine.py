"""Deep feature synthesis as SQL: featuretools' definitions, evaluated with one stream per child path.

`evaluate(frame, features, seeds)` answers: what are these features of the rows `row` as of the times `t`? Own columns
and parents are joins. An aggregate over a child path is a stream (see `running`) of the children's values and the seeds.
A child's own value must be settled when the child appears, which one query per kind of value decides:

- settled: the stream carries the child's final value;
- late, null until then (a column of a parent that appears after the child): the value enters the stream when it is known;
- changing (a count of something that still grows): the children of each seed are evaluated as of the seed's time, on
  distinct (child, t) pairs. This alone costs more than rows + seeds.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from sqlglot import exp

from relbench_harness.errors import InputError
from relbench_harness.features import sql
from relbench_harness.features.definitions import Feature, Frame, Schema
from relbench_harness.features.encode import ColumnKind
from relbench_harness.features.running import FORMULAS, ORDERED, SKIPS_NULLS, Measure, Stream
from relbench_harness.features.sql import BEGINNING, END, Sql, column, named, number, select

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from featuretools.feature_base import AggregationFeature, DirectFeature, IdentityFeature, TransformFeature

UNITS = {
    "years": 31540000,
    "months": 2628000,
    "days": 86400,
    "hours": 3600,
    "minutes": 60,
    "seconds": 1,
    "milliseconds": 0.001,
    "nanoseconds": 0.000000001,
}
"""Seconds of featuretools' units."""
DATE_PARTS = ("year", "month", "day", "weekday")
WORD = "[^ \\n\\t]*[^ \\n\\t!-/:-@\\[-`{-~][^ \\n\\t]*"
"""A word as featuretools counts them: between blanks, and not of punctuation alone."""


@dataclass(frozen=True)
class Source:
    """How a table is stored for the engine.

    Attributes:
        relation: A relation with `row` (row number), `at` (nanoseconds, if timed) and the columns below.
        keys: Foreign key → name of the column that holds the parent's row number.
        columns: Attribute → column: doubles, nanoseconds, codes in the order of the values, or text.
        codes: Category attribute → how many codes there are.
        rows: How many rows.
    """

    relation: str
    keys: Mapping[str, str]
    columns: Mapping[str, str]
    codes: Mapping[str, int]
    rows: int


class Backend(Protocol):
    """Where the SQL runs. A query that finds neither memory nor space to spill is a `MemoryError`."""

    dialect: str

    def source(self, table: str) -> Source:
        """The stored table, all instants in nanoseconds."""
        ...

    def store(self, query: exp.Query) -> str:
        """The name of a relation that holds the result of `query`."""
        ...

    def count(self, query: exp.Query) -> int:
        """The one whole number that `query` gives."""
        ...


@dataclass(frozen=True)
class Hop:
    """One step down: frame `child`, whose foreign key `key` names a row of the frame before."""

    child: str
    key: str


def steps_of(feature: Feature) -> tuple[Hop, ...]:
    """The way from an aggregation's frame down to the rows it aggregates."""
    return tuple(Hop(r.child_dataframe.ww.name, r._child_column_name) for _, r in feature.relationship_path)


Signature = frozenset[tuple[object, ...]]
"""What rows, besides its own, a value rests on: nested joins up and aggregates down; `("always",)` if on the time."""


def signature(feature: Feature) -> Signature:
    """Values with equal signatures settle at the same times."""
    if isinstance(feature, IdentityFeature):
        return frozenset()
    base = frozenset[tuple[object, ...]]().union(*map(signature, feature.base_features))
    if getattr(feature.primitive, "uses_calc_time", False):
        base |= {("always",)}
    if isinstance(feature, DirectFeature):
        return frozenset({("up", _key(feature), feature.base_features[0].dataframe_name, base)})
    if isinstance(feature, AggregationFeature):
        return frozenset({("down", steps_of(feature), base)})
    return base


def _key(feature: Feature) -> str:
    return str(feature.relationship_path[0][1]._child_column_name)


def changes_always(found: Signature) -> bool:
    return any(part[0] == "always" or changes_always(part[-1]) for part in found)  # type: ignore[arg-type]


def only_up(found: Signature) -> bool:
    return all(part[0] == "up" and only_up(part[-1]) for part in found)  # type: ignore[arg-type]


def null_until_seen(feature: Feature) -> bool:
    """Whether the feature is missing until the parents it comes from are visible."""
    if isinstance(feature, IdentityFeature):
        return True
    if isinstance(feature, DirectFeature):
        return not _has_default(feature) and null_until_seen(feature.base_features[0])
    if isinstance(feature, AggregationFeature) or feature.primitive.name == "is_null":
        return False
    return all(null_until_seen(base) for base in feature.base_features)


def _has_default(feature: Feature) -> bool:
    default = feature.default_value
    # featuretools' "no default" is either NaN or pandas' NA, which compares to nothing
    return isinstance(default, int | float) and default == default


class Engine:
    """Evaluates featuretools' features on a backend."""

    def __init__(self, backend: Backend, schema: Schema) -> None:
        self.backend = backend
        self.schema = schema
        self._settled: dict[tuple[object, ...], bool] = {}

    def frame(self, name: str) -> Frame:
        return self.schema.frames[name]

    def source(self, frame: str) -> Source:
        return self.backend.source(self.frame(frame).table)

    def evaluate(self, frame: str, features: Sequence[Feature], seeds: str | exp.Query) -> exp.Select:
        """SELECT row, t, f0, f1, … : the features of each seed.

        Args:
            seeds: A relation of distinct (row, t).
        """
        scope = Scope(self, frame, seeds)
        scope.prepare(features)
        outputs = [named(scope.value(f, ()), f"f{i}") for i, f in enumerate(features)]
        return scope.select([column("row", "s"), column("t", "s"), *outputs])

    def all_rows(self, frame: str) -> exp.Select:
        """Every row of a frame as of the end of time."""
        return select([column("row"), named(sql.cast(number(END), "BIGINT"), "t")], self.source(frame).relation)

    # --- aggregates ------------------------------------------------------------------------------------------------

    def aggregate(
        self, frame: str, steps: tuple[Hop, ...], features: Sequence[Feature], seeds: str
    ) -> list[tuple[str, dict[str, str]]]:
        """Relations (row, t, …) that hold the aggregates, and the column of each feature by its name."""
        plain: list[Feature] = []
        late: dict[Signature, list[Feature]] = {}
        changing: list[Feature] = []
        for feature in features:
            found = frozenset[tuple[object, ...]]().union(*map(signature, feature.base_features))
            primitive = feature.primitive.name
            ordered = primitive in ORDERED or (primitive == "time_since_last" and self.inputs(feature))
            with naming([feature]):
                in_order = not ordered or self._in_own_order(steps)
                settled = in_order and not changes_always(found) and self._is_settled(steps, found)
            if settled:
                plain.append(feature)
            elif (
                in_order
                and only_up(found)
                and primitive in SKIPS_NULLS
                and all(map(null_until_seen, feature.base_features))
            ):
                late.setdefault(found, []).append(feature)
            else:
                changing.append(feature)
        made = []
        if plain:
            with naming(plain):
                made.append(self._stream(steps, plain, seeds, self._events(steps, plain)))
        for found, several in late.items():
            with naming(several):
                made.append(self._stream(steps, several, seeds, self._late_events(steps, several, found)))
        if changing:
            with naming(changing):
                made.append(self._pairs(steps, changing, seeds))
        return made

    def _bases(self, features: Iterable[Feature]) -> list[Feature]:
        """The distinct inputs of aggregations; a count needs none."""
        found: dict[str, Feature] = {}
        for feature in features:
            for base in self.inputs(feature):
                found.setdefault(base.unique_name(), base)
        return list(found.values())

    def inputs(self, feature: Feature) -> list[Feature]:
        """What an aggregation reads of each row: nothing to count rows; the row's own time is there anyway."""
        if feature.primitive.name == "count":
            return []
        timed = {"time_since_last": 0, "avg_time_between": 0, "trend": 1}.get(feature.primitive.name)
        bases = enumerate(feature.base_features)
        return [base for i, base in bases if i != timed or not self._is_own_time(base)]

    def _is_own_time(self, feature: Feature) -> bool:
        if not isinstance(feature, IdentityFeature):
            return False
        frame = self.frame(feature.dataframe_name)
        return frame.timed and feature.column_name == frame.time and feature.column_name not in frame.references

    def _stream(
        self, steps: tuple[Hop, ...], features: Sequence[Feature], seeds: str, events: exp.Query
    ) -> tuple[str, dict[str, str]]:
        asked = select([named(column("row"), "k"), column("t"), column("row"), named(column("t"), "at")], seeds)
        return self._read(("k",), events, asked, features)

    def _read(
        self,
        partition: tuple[str, ...],
        events: exp.Query,
        asked: exp.Query,
        features: Sequence[Feature],
        alone: bool = False,
    ) -> tuple[str, dict[str, str]]:
        bases = {base.unique_name(): f"v{i}" for i, base in enumerate(self._bases(features))}
        stream = Stream(partition, self.backend.store(events), asked, tuple(bases.values()), ("row", "at"), alone)
        names = {feature.unique_name(): f"g{i}" for i, feature in enumerate(features)}
        measures = [self._measure(feature, names[feature.unique_name()], bases) for feature in features]
        read = stream.read(measures)
        for output in read.expressions:
            if output.alias_or_name == "at":
                output.set("alias", exp.to_identifier("t", quoted=True))
        return self.backend.store(read), names

    def _measure(self, feature: Feature, output: str, bases: Mapping[str, str]) -> Measure:
        unit = getattr(feature.primitive, "unit", "seconds")
        name = feature.primitive.name
        if getattr(feature, "where", None) is not None or getattr(feature, "use_previous", None) is not None:
            raise inexpressible(feature, "it has a where clause or a use_previous window")
        if name not in FORMULAS:
            raise inexpressible(feature, f"no formula for primitive {name!r}")
        if name == "median" and self.backend.dialect == "spark":
            raise inexpressible(feature, "Spark has no running median", other="duckdb")
        codes = self.codes(feature.base_features[0]) if name == "mode" else 0
        values = tuple(bases[base.unique_name()] for base in self.inputs(feature))
        return Measure(output, name, values, codes, float(UNITS.get(unit, 1)), feature.get_name())

    def codes(self, feature: Feature) -> int:
        """How many codes the values of a categorical feature have."""
        if isinstance(feature, IdentityFeature):
            source, frame = self.source(feature.dataframe_name), self.frame(feature.dataframe_name)
            if feature.column_name in frame.references:
                return max(self.source(frame.references[feature.column_name]).rows, 1)
            return max(source.codes.get(feature.column_name, 1), 1)
        if isinstance(feature, TransformFeature):
            if feature.primitive.name not in DATE_PARTS:
                raise inexpressible(feature, f"no order of the values of {feature.primitive.name!r}")
            return 3000
        return self.codes(feature.base_features[0])

    def _events(self, steps: tuple[Hop, ...], features: Sequence[Feature]) -> exp.Select:
        """k, t, one, own, o, v…: every child with its final values."""
        child = steps[-1].child
        bases = self._bases(features)
        values = self.evaluate(child, bases, self.all_rows(child))
        made, available = self._path(steps)
        made = made.join(
            values.subquery("v", copy=False), on=exp.EQ(this=column("row", "v"), expression=column("row", "c")), copy=False
        )
        return made.select(
            named(available, "t"),
            named(number(1), "one"),
            *(named(column(f"f{i}", "v"), f"v{i}") for i in range(len(bases))),
            copy=False,
        )

    def _path(self, steps: tuple[Hop, ...]) -> tuple[exp.Select, Sql]:
        """SELECT k, own, o FROM the children joined with what lies between, and when each becomes available."""
        child = steps[-1].child
        source = self.source(child)
        own = column("at", "c") if self.frame(child).timed else number(BEGINNING)
        times = [column("at", "c")] if self.frame(child).timed else []
        made = select([], source.relation, "c")
        alias, below, hop = "c", source, steps[-1]
        for depth, above in enumerate(reversed(steps[:-1])):
            between, name = self.source(above.child), f"m{depth}"
            link = exp.EQ(this=column("row", name), expression=column(below.keys[hop.key], alias))
            made = made.join(sql.table(between.relation, name), on=link, copy=False)
            if self.frame(above.child).timed:
                times.append(column("at", name))
            alias, below, hop = name, between, above
        owner = column(below.keys[hop.key], alias)
        made = made.where(sql.not_null(owner), copy=False)
        # a time that the database has too, even for tables without one
        own = sql.cast(own, "BIGINT")
        available = sql.greatest(times) if times else sql.cast(number(BEGINNING), "BIGINT")
        return made.select(
            named(owner.copy(), "k"), named(own, "own"), named(column("row", "c"), "o"), copy=False
        ), available

    def _late_events(self, steps: tuple[Hop, ...], features: Sequence[Feature], found: Signature) -> exp.Query:
        """As `_events`, each value in its own time: with the row if known by then, else in an event of its own."""
        events = self._events(steps, features)
        settle = self._settle(steps[-1].child, found)
        link = exp.EQ(this=column("row", "y"), expression=column("row", "c"))
        events = events.join(settle.subquery("y", copy=False), on=link, copy=False)
        events = events.select(named(column("settle", "y"), "settle"), copy=False)
        stored = self.backend.store(events)
        values = [f"v{i}" for i in range(len(self._bases(features)))]
        known = exp.LTE(this=column("settle"), expression=column("t"))
        head = [column("k"), column("own"), column("o")]
        now = select(
            [
                *head,
                column("t"),
                named(number(1), "one"),
                *(named(sql.when(known.copy(), column(v)), v) for v in values),
            ],
            stored,
        )
        later = select(
            [*(h.copy() for h in head), named(column("settle"), "t"), named(number(0), "one"), *map(column, values)], stored
        ).where(exp.GT(this=column("settle"), expression=column("t")), copy=False)
        return exp.Union(this=now, expression=later, distinct=False)

    def _pairs(self, steps: tuple[Hop, ...], features: Sequence[Feature], seeds: str) -> tuple[str, dict[str, str]]:
        """Aggregates of values that change: each seed's children evaluated as of its time."""
        child, bases = steps[-1].child, self._bases(features)
        path, available = self._path(steps)
        children = path.select(named(available, "t"), copy=False)
        seen = select(
            [
                named(column("row", "s"), "k"),
                named(column("t", "s"), "kt"),
                column("own", "e"),
                column("o", "e"),
            ],
            seeds,
            "s",
        ).join(
            children.subquery("e", copy=False),
            on=sql.both(
                exp.EQ(this=column("k", "e"), expression=column("row", "s")),
                exp.LT(this=column("t", "e"), expression=column("t", "s")),
            ),
            copy=False,
        )
        pairs = self.backend.store(seen)
        inner = self.backend.store(
            select([named(column("o"), "row"), named(column("kt"), "t")], pairs).distinct(copy=False)
        )
        values = self.evaluate(child, bases, inner)
        events = select(
            [
                *(column(name, "p") for name in ("k", "kt", "own", "o")),
                named(sql.cast(number(0), "BIGINT"), "t"),
                named(number(1), "one"),
                *(named(column(f"f{i}", "v"), f"v{i}") for i in range(len(bases))),
            ],
            pairs,
            "p",
        ).join(
            values.subquery("v", copy=False),
            on=sql.both(
                exp.EQ(this=column("row", "v"), expression=column("o", "p")),
                exp.EQ(this=column("t", "v"), expression=column("kt", "p")),
            ),
            copy=False,
        )
        asked = select(
            [
                named(column("row"), "k"),
                named(column("t"), "kt"),
                named(sql.cast(number(1), "BIGINT"), "t"),
                column("row"),
                named(column("t"), "at"),
            ],
            seeds,
        )
        return self._read(("k", "kt"), events, asked, features, alone=True)

    # --- when values settle ----------------------------------------------------------------------------------------

    def _in_own_order(self, steps: tuple[Hop, ...]) -> bool:
        """Whether no child appears later than its own time, because of what lies between it and the entity."""
        key = ("order", steps)
        if key not in self._settled:
            path, available = self._path(steps)
            rows = path.select(named(available, "t"), copy=False)
            late = select([exp.Count(this=exp.Star())], rows).where(
                exp.GT(this=column("t"), expression=column("own")), copy=False
            )
            self._settled[key] = len(steps) == 1 or self.backend.count(late) == 0
        return self._settled[key]

    def _is_settled(self, steps: tuple[Hop, ...], found: Signature) -> bool:
        """Whether every child's values are final when the child becomes available."""
        key = (steps, found)
        if not found:
            return True
        if key not in self._settled:
            path, available = self._path(steps)
            link = exp.EQ(this=column("row", "y"), expression=column("row", "c"))
            settle = self._settle(steps[-1].child, found).subquery("y", copy=False)
            rows = path.join(settle, on=link, copy=False)
            rows = rows.select(named(available, "t"), named(column("settle", "y"), "settle"), copy=False)
            late = select([exp.Count(this=exp.Star())], rows).where(
                exp.GT(this=column("settle"), expression=column("t")), copy=False
            )
            self._settled[key] = self.backend.count(late) == 0
        return self._settled[key]

    def _settle(self, frame: str, found: Signature) -> exp.Select:
        """SELECT row, settle: the time after which the values of signature `found` no longer change, for every row."""
        source = self.source(frame)
        made = select([column("row", "c")], source.relation, "c")
        times: list[Sql] = [sql.cast(number(BEGINNING), "BIGINT")]
        for index, part in enumerate(sorted(found, key=repr)):
            alias = f"p{index}"
            if part[0] == "up":
                _, key, parent, base = part
                inner = self._visible_from(str(parent), base)  # type: ignore[arg-type]
                link = exp.EQ(this=column("row", alias), expression=column(source.keys[str(key)], "c"))
            elif part[0] == "down":
                _, steps, base = part
                inner = self._last_change(steps, base)  # type: ignore[arg-type]
                link = exp.EQ(this=column("row", alias), expression=column("row", "c"))
            else:
                raise AssertionError("a value that rests on the time itself never settles")
            made = made.join(inner.subquery(alias, copy=False), on=link, join_type="left", copy=False)
            times.append(exp.Coalesce(this=column("settle", alias), expressions=[number(BEGINNING)]))
        return made.select(named(sql.greatest(times), "settle"), copy=False)

    def _visible_from(self, frame: str, base: Signature) -> exp.Select:
        """SELECT row, settle of a parent seen from below: the later of its own time and that of its values."""
        if not self.frame(frame).timed:
            return self._settle(frame, base)
        own = column("at", "c")
        made = self._settle(frame, base)
        settle = made.expressions[-1]
        settle.replace(named(sql.greatest([settle.this, own]), "settle"))
        return made

    def _last_change(self, steps: tuple[Hop, ...], base: Signature) -> exp.Select:
        """SELECT row, settle of an aggregate: when the last of its rows, or of their values, came."""
        path, available = self._path(steps)
        link = exp.EQ(this=column("row", "y"), expression=column("row", "c"))
        rows = path.join(self._settle(steps[-1].child, base).subquery("y", copy=False), on=link, copy=False)
        rows = rows.select(named(sql.greatest([available, column("settle", "y")]), "settle"), copy=False)
        grouped = select([named(column("k"), "row"), named(exp.Max(this=column("settle")), "settle")], rows)
        return grouped.group_by(column("k"), copy=False)


class FeaturesOutOfMemory(MemoryError):
    """Features that do not fit into memory, by name."""


@contextmanager
def naming(features: Sequence[Feature]) -> Iterator[None]:
    """Says which features were being computed when memory ran out; of nested scopes the innermost."""
    try:
        yield
    except FeaturesOutOfMemory:
        raise
    except MemoryError as error:
        names = [feature.get_name() for feature in features]
        shown = ", ".join(map(repr, names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        raise FeaturesOutOfMemory(f"features {shown} do not fit into memory: {error}") from None


def inexpressible(feature: Feature, why: str, other: str = "featuretools") -> InputError:
    return InputError(f"feature {feature.get_name()!r} cannot be expressed in SQL: {why}; engine={other} computes it")


@dataclass
class Scope:
    """One SELECT over seeds: own columns, joins up, and aggregates joined in."""

    engine: Engine
    frame: str
    seeds: str | exp.Query
    joins: list[tuple[Sql, Sql]] = field(default_factory=list)
    _aliases: dict[tuple[str, ...], tuple[str, str]] = field(default_factory=dict)
    _aggregates: dict[tuple[tuple[str, ...], str], Sql] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._aliases[()] = ("x", self.frame)
        link = exp.EQ(this=column("row", "x"), expression=column("row", "s"))
        self.joins.append((sql.table(self.engine.source(self.frame).relation, "x"), link))

    def select(self, columns: Sequence[Sql]) -> exp.Select:
        made = select(columns, self.seeds, "s")
        for joined, link in self.joins:
            made = made.join(joined.copy(), on=link.copy(), join_type="left", copy=False)
        return made

    def alias(self, chain: tuple[str, ...], frame: str) -> str:
        """The alias of the row that the foreign keys `chain` lead to, null where it is not visible."""
        if chain not in self._aliases:
            below, child = self._aliases[chain[:-1]]
            name = f"x{len(self._aliases)}"
            key = column(self.engine.source(child).keys[chain[-1]], below)
            link: Sql = exp.EQ(this=column("row", name), expression=key)
            if self.engine.frame(frame).timed:
                link = sql.both(link, exp.LT(this=column("at", name), expression=column("t", "s")))
            self.joins.append((sql.table(self.engine.source(frame).relation, name), link))
            self._aliases[chain] = (name, frame)
        return self._aliases[chain][0]

    def prepare(self, features: Sequence[Feature]) -> None:
        """Compute and join every aggregate that the features rest on."""
        wanted: dict[tuple[str, ...], dict[tuple[Hop, ...], dict[str, Feature]]] = {}
        for feature in features:
            self._collect(feature, (), wanted)
        for chain, paths in wanted.items():
            with naming([feature for several in paths.values() for feature in several.values()]):
                seeds = self._seeds(chain)
            frame = self._aliases[chain][1]
            for steps, several in paths.items():
                for relation, names in self.engine.aggregate(frame, steps, list(several.values()), seeds):
                    self._join(chain, relation, names)

    def _collect(
        self,
        feature: Feature,
        chain: tuple[str, ...],
        wanted: dict[tuple[str, ...], dict[tuple[Hop, ...], dict[str, Feature]]],
    ) -> None:
        if isinstance(feature, AggregationFeature):
            wanted.setdefault(chain, {}).setdefault(steps_of(feature), {})[feature.unique_name()] = feature
        elif isinstance(feature, DirectFeature):
            base = feature.base_features[0]
            longer = (*chain, _key(feature))
            self.alias(longer, self._parent(feature))
            self._collect(base, longer, wanted)
        else:
            for base in feature.base_features:
                self._collect(base, chain, wanted)

    def _parent(self, feature: Feature) -> str:
        return str(feature.relationship_path[0][1].parent_dataframe.ww.name)

    def _seeds(self, chain: tuple[str, ...]) -> str:
        if not chain and isinstance(self.seeds, str):
            return self.seeds
        alias = self._aliases[chain][0]
        made = self.select([named(column("row", alias), "row"), named(column("t", "s"), "t")])
        made = made.where(sql.not_null(column("row", alias)), copy=False)
        return self.engine.backend.store(made.distinct(copy=False) if chain else made)

    def _join(self, chain: tuple[str, ...], relation: str, names: Mapping[str, str]) -> None:
        alias, name = self._aliases[chain][0], f"g{len(self.joins)}"
        link = sql.both(
            exp.EQ(this=column("row", name), expression=column("row", alias)),
            exp.EQ(this=column("t", name), expression=column("t", "s")),
        )
        self.joins.append((sql.table(relation, name), link))
        for feature, output in names.items():
            self._aggregates[(chain, feature)] = column(output, name)

    def value(self, feature: Feature, chain: tuple[str, ...]) -> Sql:
        """The expression of a feature of the row that `chain` leads to."""
        if isinstance(feature, IdentityFeature):
            return self._own(feature, chain)
        if isinstance(feature, DirectFeature):
            inner = self.value(feature.base_features[0], (*chain, _key(feature)))
            if _has_default(feature):
                return exp.Coalesce(this=inner, expressions=[number(feature.default_value)])
            return inner
        if isinstance(feature, AggregationFeature):
            return self._aggregates[(chain, feature.unique_name())].copy()
        return self._transform(feature, chain)

    def _own(self, feature: Feature, chain: tuple[str, ...]) -> Sql:
        alias, name = self._aliases[chain]
        frame, source = self.engine.frame(name), self.engine.source(name)
        if feature.column_name == frame.index:
            return column("row", alias)
        stored = source.keys.get(feature.column_name) or source.columns.get(feature.column_name)
        if stored is None:
            raise inexpressible(feature, f"column {feature.column_name!r} is not stored")
        return column(stored, alias)

    def _transform(self, feature: Feature, chain: tuple[str, ...]) -> Sql:
        name, dialect = feature.primitive.name, self.engine.backend.dialect
        values = [self.value(base, chain) for base in feature.base_features]
        if name in DATE_PARTS:
            return sql.date_part(name, values[0], dialect)
        if name == "is_null":
            # a row that is not there has no flag, as featuretools joins flags of rows that are
            there = sql.not_null(column("row", self._aliases[chain][0]))
            flag = sql.when(sql.is_null(values[0]), exp.Literal.number("1.0"), exp.Literal.number("0.0"))
            return sql.when(there, flag)
        if name == "num_characters":
            return sql.cast(exp.Length(this=values[0]), "DOUBLE")
        if name == "num_words":
            return sql.count_matches(values[0], WORD, dialect)
        if name == "age":
            days = sql.func("FLOOR", sql.divided(sql.minus(column("t", "s"), values[0]), number(sql.DAY)))
            return sql.divided(days, number(365))
        raise inexpressible(feature, f"no expression for primitive {name!r}")


def is_category(schema: Schema, feature: Feature) -> tuple[str, str] | None:
    """(table, column) whose categories the feature's values are; None if they are numbers."""
    if isinstance(feature, IdentityFeature):
        frame = schema.frames[feature.dataframe_name]
        return (frame.table, feature.column_name) if frame.kinds.get(feature.column_name) is ColumnKind.CATEGORY else None
    if isinstance(feature, DirectFeature) or (
        isinstance(feature, AggregationFeature) and feature.primitive.name in ("mode", "first", "last")
    ):
        return is_category(schema, feature.base_features[0])
    return None
