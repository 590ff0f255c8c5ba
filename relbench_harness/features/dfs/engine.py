"""Deep feature synthesis as SQL: featuretools' definitions, evaluated with one stream per child path.

`evaluate(frame, features, seeds)` answers: what are these features of the rows `row` as of the times `t`? Own columns
and parents are joins. An aggregate over a child path is a stream (see `stream`) of the children's values and the seeds.
A child's own value must be settled when the child appears, which `settling` decides:

- settled: the stream carries the child's final value;
- late, null until then (a column of a parent that appears after the child): the value enters the stream when it is known;
- changing (a count of something that still grows): the children of each seed are evaluated as of the seed's time, on
  distinct (child, t) pairs. This alone costs more than rows + seeds.
"""

from __future__ import annotations

from collections.abc import Sequence

from relbench_harness.features.dfs.backend import Backend, naming
from relbench_harness.features.dfs.definitions import Feature, Schema
from relbench_harness.features.dfs.formulas import ORDERED, SKIPS_NULLS
from relbench_harness.features.dfs.frames import Frames
from relbench_harness.features.dfs.measures import distinct_inputs, formula_name, measures
from relbench_harness.features.dfs.scope import Aggregated, Scope
from relbench_harness.features.dfs.settling import Settling
from relbench_harness.features.dfs.signatures import (
    Hop,
    Signature,
    changes_always,
    null_until_seen,
    only_up,
    rests_on,
)
from relbench_harness.features.dfs.sql import END, listing
from relbench_harness.features.dfs.stream import Stream


class Engine:
    """Evaluates featuretools' features on a backend."""

    def __init__(self, backend: Backend, schema: Schema) -> None:
        self._frames = Frames(backend, schema)
        self._settling = Settling(self._frames)
        self._backend, self._sql = backend, self._frames.sql

    def evaluate(self, frame: str, features: Sequence[Feature], seeds: str, names: Sequence[str] | None = None) -> str:
        """SELECT row, t and the features of each seed.

        Args:
            seeds: A relation or query of distinct (row, t).
            names: What the features are called; f0, f1, … if None.
        """
        scope = Scope(self._frames, frame, seeds, self.aggregate)
        scope.prepare(features)
        called = names or [f"f{i}" for i in range(len(features))]
        values = [f"{scope.value(f, ())} AS {self._sql.name(n)}" for f, n in zip(features, called, strict=True)]
        return scope.select("SELECT s.row, s.t, $values FROM $seeds AS s", values=listing(values))

    def aggregate(self, steps: tuple[Hop, ...], features: Sequence[Feature], seeds: str) -> list[Aggregated]:
        """The aggregates of the rows at the end of `steps` for each seed of a relation."""
        settled: list[Feature] = []
        late: dict[Signature, list[Feature]] = {}
        changing: list[Feature] = []
        for feature in features:
            found, name = rests_on(feature.base_features), formula_name(self._frames, feature)
            with naming([feature]):
                in_order = name not in ORDERED or self._settling.in_own_order(steps)
                final = in_order and not changes_always(found) and self._settling.is_settled(steps, found)
            if final:
                settled.append(feature)
            elif in_order and only_up(found) and name in SKIPS_NULLS and null_until_seen(feature.base_features):
                late.setdefault(found, []).append(feature)
            else:
                changing.append(feature)
        made = []
        if settled:
            with naming(settled):
                made.append(self._read(settled, self._events(steps, settled, seeds), seeds))
        for found, several in late.items():
            with naming(several):
                made.append(self._read(several, self._late_events(steps, several, found, seeds), seeds))
        if changing:
            with naming(changing):
                made.append(self._read_changing(steps, changing, seeds))
        return made

    def _read(self, features: Sequence[Feature], events: str, seeds: str) -> Aggregated:
        """The aggregates of an event stream that all seeds of a row share."""
        placed = self._sql("SELECT row AS k, t, row AS seed_row, t AS seed_t FROM $seeds AS x", seeds=seeds)
        return self._measured(features, Stream(self._sql, ("k",), self._backend.store(events), placed))

    def _measured(self, features: Sequence[Feature], stream: Stream) -> Aggregated:
        read = measures(self._frames, features)
        columns = {feature.unique_name(): measure.output for feature, measure in zip(features, read, strict=True)}
        return Aggregated(self._backend.store(stream.read(read)), columns)

    def _events(self, steps: tuple[Hop, ...], features: Sequence[Feature], seeds: str) -> str:
        """SELECT k, own, o, t, one, v0, …: every child of a seed's row with its final values."""
        bases = distinct_inputs(self._frames, features)
        children = self._backend.store(
            self._sql(
                "SELECT e.* FROM $children AS e JOIN (SELECT DISTINCT row FROM $seeds AS x) AS s ON s.row = e.k",
                children=self._frames.children(steps),
                seeds=seeds,
            )
        )
        every = self._sql("SELECT o AS row, CAST($end AS BIGINT) AS t FROM $children AS x", end=str(END), children=children)
        return self._sql(
            "SELECT e.k, e.own, e.o, e.t, 1 AS one, $values FROM $children AS e JOIN $final AS v ON v.row = e.o",
            values=listing(f"v.f{i} AS v{i}" for i in range(len(bases))),
            children=children,
            final=self.evaluate(steps[-1].child, bases, every),
        )

    def _late_events(self, steps: tuple[Hop, ...], features: Sequence[Feature], found: Signature, seeds: str) -> str:
        """As `_events`, each value in its own time: with the row if known by then, else in an event of its own."""
        values = [f"v{i}" for i in range(len(distinct_inputs(self._frames, features)))]
        events = self._sql(
            "SELECT e.*, y.settle FROM $events AS e JOIN $settle AS y ON y.row = e.o",
            events=self._events(steps, features, seeds),
            settle=self._settling.settle(steps[-1].child, found),
        )
        return self._sql(
            """
            SELECT k, own, o, t, 1 AS one, $known FROM $stored AS x
            UNION ALL SELECT k, own, o, settle AS t, 0 AS one, $values FROM $stored AS x WHERE settle > t
            """,
            known=listing(f"CASE WHEN settle <= t THEN {v} END AS {v}" for v in values),
            values=listing(values),
            stored=self._backend.store(events),
        )

    def _read_changing(self, steps: tuple[Hop, ...], features: Sequence[Feature], seeds: str) -> Aggregated:
        """Aggregates of values that change: each seed's children evaluated as of its time, in a stream of its own."""
        sql, bases = self._sql, distinct_inputs(self._frames, features)
        pairs = self._backend.store(
            sql(
                """
                SELECT s.row AS k, s.t AS kt, e.own, e.o
                FROM $seeds AS s JOIN $children AS e ON e.k = s.row AND e.t < s.t
                """,
                seeds=seeds,
                children=self._frames.children(steps),
            )
        )
        inner = self._backend.store(sql("SELECT DISTINCT o AS row, kt AS t FROM $pairs AS x", pairs=pairs))
        events = sql(
            """
            SELECT p.k, p.kt, p.own, p.o, CAST(0 AS BIGINT) AS t, 1 AS one, $values
            FROM $pairs AS p JOIN $found AS v ON v.row = p.o AND v.t = p.kt
            """,
            values=listing(f"v.f{i} AS v{i}" for i in range(len(bases))),
            pairs=pairs,
            found=self.evaluate(steps[-1].child, bases, inner),
        )
        placed = sql(
            "SELECT row AS k, t AS kt, CAST(1 AS BIGINT) AS t, row AS seed_row, t AS seed_t FROM $seeds AS x", seeds=seeds
        )
        return self._measured(features, Stream(sql, ("k", "kt"), self._backend.store(events), placed, alone=True))
