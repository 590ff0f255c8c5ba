"""Running aggregates: what formulas are of all the events before each seed, in one query.

A stream holds events (z = 1) and seeds (z = 0), ordered by time and then z, so that at equal times the seed comes first:
exactly "strictly before". The seeds cut each entity's stream into stretches. Events are first aggregated by stretch (one
GROUP BY), then the stretches before each seed (one window over seeds, not over events). Formulas are built of sums,
counts, minima and maxima, which allow that, and of columns that each event brings along, which rest on the event's past
alone. Only medians and values in order of time need a window over the events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from relbench_harness.features.dfs.lifting import Lifted, lifted
from relbench_harness.features.dfs.sql import Sql, listing

RUNNING = {"SUM": "SUM", "COUNT": "SUM", "MIN": "MIN", "MAX": "MAX"}
"""Aggregate of a stretch's events → what merges the stretches."""


@dataclass(frozen=True)
class Measure:
    """A formula to be read under the name `output`; `given` fills its placeholders."""

    output: str
    formula: str
    given: Mapping[str, str]


class Columns:
    """Expressions of one SELECT, each once and under a name of its own."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.names: dict[str, str] = {}

    def name(self, expression: str) -> str:
        return self.names.setdefault(expression, f"{self._prefix}{len(self.names)}")

    def __bool__(self) -> bool:
        return bool(self.names)

    def select(self) -> str:
        return listing(f"{expression} AS {name}" for expression, name in self.names.items())

    def each(self, template: str) -> str:
        """`template` for each name in place of its `%s`."""
        return listing(template.replace("%s", name) for name in self.names.values())


@dataclass
class Stream:
    """Builds the one query that reads all measures of a stream.

    Attributes:
        keys: Columns that tell whose stream it is.
        events: A relation of the keys, `t`, `one` (1, or 0 for a value that comes later than its row), `own` (the row's own
            time), `o` (its row number) and values.
        seeds: A query of the keys, `t`, `seed_row` and `seed_t`.
        alone: Whether each stream has one seed, after all of its events, so that plain aggregates answer it.
    """

    sql: Sql
    keys: tuple[str, ...]
    events: str
    seeds: str
    alone: bool = False
    _firsts: Columns = field(init=False, default_factory=lambda: Columns("f"))
    _occurrences: Columns = field(init=False, default_factory=lambda: Columns("b"))
    _carried: Columns = field(init=False, default_factory=lambda: Columns("d"))
    _placed: Columns = field(init=False, default_factory=lambda: Columns("p"))
    _stretches: Columns = field(init=False, default_factory=lambda: Columns("g"))
    _totals: Columns = field(init=False, default_factory=lambda: Columns("s"))

    def read(self, measures: Sequence[Measure]) -> str:
        """SELECT row, t and each measure, one row per seed."""
        outputs = [f"{self._value(lifted(m.formula), m.given)} AS {m.output}" for m in measures]
        return self.sql(
            "SELECT seed_row AS row, seed_t AS t, $outputs FROM $read AS r WHERE seed_row IS NOT NULL",
            outputs=listing(outputs),
            read=self._aggregated() if self.alone and not self._placed else self._running(),
        )

    def _value(self, formula: Lifted, given: Mapping[str, str]) -> str:
        calls = {c.name: self._call(c.function, self._value(c.argument, given)) for c in formula.calls}
        return self.sql(formula.template, **given, **calls)

    def _call(self, function: str, x: str) -> str:
        """The name of the column that holds an aggregate of `x`, an expression over the columns of an event."""
        sql, keys = self.sql, listing(self.keys)
        if function == "FIRST_OF":
            return self._firsts.name(sql("MIN_BY($x, CASE WHEN $x IS NOT NULL THEN o END)", x=x))
        if function == "OCCURRENCE":
            nth = sql("CAST(ROW_NUMBER() OVER (PARTITION BY $keys, $x ORDER BY t, o) AS DOUBLE)", keys=keys, x=x)
            return self._occurrences.name(nth)
        carried = self._carry(x)
        if function in RUNNING:
            stretch = self._stretches.name(f"{function}({carried})")
            before = f"{RUNNING[function]}($x) OVER (PARTITION BY $keys ORDER BY g ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
            return self._totals.name(sql(before, x=stretch, keys=keys))
        if function == "MEDIAN":
            value, order = "MEDIAN($x)", "t, z"
        else:
            value, order = f"{function}($x IGNORE NULLS)", f"t, z, {self._carry('own')}, {self._carry('o')}"
        so_far = f"{value} OVER (PARTITION BY $keys ORDER BY {order} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
        return self._placed.name(sql(so_far, x=carried, keys=keys))

    def _carry(self, x: str) -> str:
        return self._carried.name(self.sql("CAST($x AS DOUBLE)", x=x))

    def _running(self) -> str:
        """The seeds, each with the aggregates of all that came before it."""
        return self.sql(
            """
            SELECT seed_row, seed_t, $placed, $totals FROM (
                SELECT $keys, g, MAX(seed_row) AS seed_row, MAX(seed_t) AS seed_t, $placed_at_seed, $stretches FROM (
                    SELECT $keys, z, $carried, seed_row, seed_t, $places,
                        SUM(1 - z) OVER (PARTITION BY $keys ORDER BY t, z ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS g
                    FROM (
                        SELECT $keys, t, 1 AS z, $carry, CAST(NULL AS BIGINT) AS seed_row, CAST(NULL AS BIGINT) AS seed_t
                        FROM $events AS a
                        UNION ALL SELECT $keys, t, 0 AS z, $nulls, seed_row, seed_t FROM $seeds AS q
                    ) AS u
                ) AS v GROUP BY $keys, g
            ) AS w
            """,
            keys=listing(self.keys),
            placed=self._placed.each("%s"),
            totals=self._totals.select(),
            placed_at_seed=self._placed.each("MAX(CASE WHEN z = 0 THEN %s END) AS %s"),
            stretches=self._stretches.select(),
            carried=self._carried.each("%s"),
            places=self._placed.select(),
            carry=self._carried.select(),
            events=self._events(),
            nulls=self._carried.each("CAST(NULL AS DOUBLE) AS %s"),
            seeds=self.seeds,
        )

    def _aggregated(self) -> str:
        """The seeds, each with the aggregates of its whole stream."""
        return self.sql(
            """
            SELECT q.seed_row, q.seed_t, $totals FROM $seeds AS q
            LEFT JOIN (SELECT $owner, $stretches FROM (SELECT $keys, $carry FROM $events AS e) AS u GROUP BY $keys) AS a
            ON $same
            """,
            totals=listing(
                f"a.{part} AS {total}"
                for part, total in zip(self._stretches.names.values(), self._totals.names.values(), strict=True)
            ),
            seeds=self.seeds,
            owner=listing(f"{key} AS e_{key}" for key in self.keys),
            stretches=self._stretches.select(),
            keys=listing(self.keys),
            carry=self._carried.select(),
            events=self._events(),
            same=" AND ".join(f"a.e_{key} = q.{key}" for key in self.keys),
        )

    def _events(self) -> str:
        """Events with the columns that they bring along."""
        brought, firsts = self._occurrences.select(), self._firsts.each("f.%s")
        events = self.sql(
            "SELECT e.*, $brought, $firsts FROM $events AS e", brought=brought, firsts=firsts, events=self.events
        )
        if not self._firsts:
            return events
        return f"{events} " + self.sql(
            "JOIN (SELECT $owner, $firsts FROM $events AS x GROUP BY $keys) AS f ON $same",
            owner=listing(f"{key} AS f_{key}" for key in self.keys),
            firsts=self._firsts.select(),
            events=self.events,
            keys=listing(self.keys),
            same=" AND ".join(f"f.f_{key} = e.{key}" for key in self.keys),
        )
