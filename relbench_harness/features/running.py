"""featuretools' aggregation primitives as running aggregates: one formula each, read at a question's place in the stream.

A stream holds events (z = 1) and questions (z = 0), ordered by time and then z, so that at equal times the question comes
first: exactly "strictly before". The questions cut each entity's stream into stretches. Events are first aggregated by
stretch (one GROUP BY), then the stretches before each question (one window over questions, not over events). Every
formula is built of sums, counts, minima and maxima, which allow that, and of columns that each event brings along, which
rest on the event's past alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from relbench_harness.errors import InputError
from relbench_harness.features.sql import (
    Sql,
    agg,
    both,
    cast,
    column,
    divided,
    func,
    minus,
    named,
    not_null,
    null,
    number,
    plus,
    row_number,
    select,
    table,
    times,
    when,
    window,
)

SKIPS_NULLS = frozenset({"sum", "std", "max", "skew", "min", "mean", "num_unique", "mode", "median"})
"""Primitives for which a row whose value is still missing is like no row, but for the number of rows."""
END_OF = {"FIRST_VALUE": exp.FirstValue, "LAST_VALUE": exp.LastValue}
ORDERED = frozenset({"first", "last", "trend"})
"""Primitives that depend on the order of the rows' own times."""


@dataclass(frozen=True)
class Measure:
    """One aggregate to be read: a primitive over value columns of the stream.

    Attributes:
        values: Names of the event columns it aggregates.
        codes: For a category: how many codes there are.
        unit: Seconds of the unit in which a duration is given.
    """

    output: str
    primitive: str
    values: tuple[str, ...]
    codes: int = 0
    unit: float = 1.0
    label: str = ""


@dataclass
class Stream:
    """Builds the one query that reads all measures of a stream.

    Attributes:
        partition: Columns that tell whose stream it is.
        events: A relation of the partition, `t`, `one` (1, or 0 for a value that comes later than its row), `own` (the
            row's own time), `o` (its row number) and values.
        questions: Columns: the partition and `t`, and what else is to be passed through.
        passed: Names of the question columns to hand on.
        alone: Whether each partition has one question, after all of its events, so that plain aggregates answer it.
    """

    partition: tuple[str, ...]
    events: str
    questions: exp.Query
    values: Sequence[str]
    passed: tuple[str, ...]
    alone: bool = False
    firsts: dict[str, Sql] = field(default_factory=dict)
    before: dict[str, Sql] = field(default_factory=dict)
    derived: dict[str, Sql] = field(default_factory=dict)
    direct: dict[str, Sql] = field(default_factory=dict)
    grouped: dict[str, Sql] = field(default_factory=dict)
    so_far: dict[str, tuple[str, str]] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)

    def read(self, measures: Sequence[Measure]) -> exp.Select:
        """SELECT passed columns and each measure, one row per question."""
        outputs = []
        for measure in measures:
            formula = FORMULAS.get(measure.primitive)
            if formula is None:
                raise InputError(
                    f"feature {measure.label!r} cannot be expressed in SQL: no formula for primitive "
                    f"{measure.primitive!r}; engine=featuretools computes it"
                )
            outputs.append(named(formula(self, measure), measure.output))
        ran = self._aggregated() if self.alone and not self.direct else self._run()
        final = [*(named(column(f"p_{name}"), name) for name in self.passed), *outputs]
        return select(final, ran, "r").where(not_null(column(f"p_{self.passed[0]}")), copy=False)

    def _run(self) -> exp.Select:
        """The questions, each with the aggregates of all that came before it."""
        stream = exp.Union(this=self._events(), expression=self._questions(), distinct=False)
        place = window(agg("SUM", minus(number(1), column("z"))), self.partition, [column("t"), column("z")])
        placed = select(
            [
                *map(column, (*self.partition, "z", *self.derived)),
                *(column(f"p_{name}") for name in self.passed),
                named(place, "g"),
                *(named(e, n) for n, e in self.direct.items()),
            ],
            stream,
            "u",
        )
        before = {
            result: window(agg(merge, column(part)), self.partition, [column("g")], before=True)
            for result, (merge, part) in self.so_far.items()
        }
        return select(
            [
                *(column(f"p_{name}") for name in self.passed),
                *map(column, self.direct),
                *(named(e, n) for n, e in before.items()),
            ],
            self._stretches(placed),
            "w",
        )

    def _aggregated(self) -> exp.Select:
        """The questions, each with the aggregates of its partition."""
        keys = [column(name) for name in self.partition]
        owner = [named(key.copy(), f"e_{name}") for key, name in zip(keys, self.partition, strict=True)]
        made = select([*owner, *(named(e, n) for n, e in self.grouped.items())], self._events(), "u")
        made = made.group_by(*keys, copy=False)
        same = [exp.EQ(this=column(f"e_{name}", "a"), expression=column(name, "q")) for name in self.partition]
        asked = select(
            [
                *(named(column(name, "q"), f"p_{name}") for name in self.passed),
                *(named(column(part, "a"), result) for result, (_, part) in self.so_far.items()),
            ],
            self.questions,
            "q",
        )
        return asked.join(table(made, "a"), on=both(*same), join_type="left", copy=False)

    def _events(self) -> exp.Select:
        """Events with what they bring along."""
        carried = [column(name, "e") for name in (*self.partition, "t", "own", "o", "one", *self.values)]
        ahead = select([*carried, *(named(e, n) for n, e in self.before.items())], self.events, "e")
        if self.firsts:
            keys = [column(name) for name in self.partition]
            owner = [named(key.copy(), f"f_{name}") for key, name in zip(keys, self.partition, strict=True)]
            firsts = select([*owner, *(named(e, n) for n, e in self.firsts.items())], self.events)
            firsts = firsts.group_by(*(key.copy() for key in keys), copy=False)
            same = [exp.EQ(this=column(f"f_{name}", "f"), expression=column(name, "e")) for name in self.partition]
            ahead = ahead.join(table(firsts, "f"), on=both(*same), copy=False)
            ahead = ahead.select(*(column(name, "f") for name in self.firsts), copy=False)
        return select(
            [
                *map(column, self.partition),
                column("t"),
                named(number(1), "z"),
                *(named(e, n) for n, e in self.derived.items()),
                *(named(null("BIGINT"), f"p_{name}") for name in self.passed),
            ],
            ahead,
            "a",
        )

    def _questions(self) -> exp.Select:
        return select(
            [
                *map(column, self.partition),
                column("t"),
                named(number(0), "z"),
                *(named(null("DOUBLE"), name) for name in self.derived),
                *(named(column(name), f"p_{name}") for name in self.passed),
            ],
            self.questions,
            "q",
        )

    def _stretches(self, placed: exp.Select) -> exp.Select:
        """One row per question and the events from it to the next: `g` counts the questions so far."""
        keys = [column(name) for name in (*self.partition, "g")]
        asked = exp.EQ(this=column("z"), expression=number(0))
        made = select(
            [
                *keys,
                *(named(agg("MAX", column(f"p_{name}")), f"p_{name}") for name in self.passed),
                *(named(agg("MAX", when(asked.copy(), column(name))), name) for name in self.direct),
                *(named(e, n) for n, e in self.grouped.items()),
            ],
            placed,
            "v",
        )
        return made.group_by(*(key.copy() for key in keys), copy=False)

    def _name(self, kind: str, key: str) -> str:
        return self._names.setdefault(f"{kind}:{key}", f"{kind}{len(self._names)}")

    def ahead(self, key: str, value: Callable[[], Sql]) -> Sql:
        """A column that each event brings along, computed among events alone."""
        name = self._name("b", key)
        if name not in self.before:
            self.before[name] = value()
        return column(name)

    def carry(self, key: str, value: Sql) -> str:
        """The name under which each event brings `value` into the stream, as a double."""
        carried = self._name("d", key)
        if carried not in self.derived:
            self.derived[carried] = cast(value, "DOUBLE")
        return carried

    def boxed(self, name: str, value: str, own: str, row: str) -> Sql:
        """FIRST_VALUE or LAST_VALUE of the carried `value` over the events so far, by their own times."""
        result = self._name("s", f"{name} {value}")
        if result not in self.direct:
            order = [column(c) for c in ("t", "z", own, row)]
            self.direct[result] = window(END_OF[name](this=column(value)), self.partition, order, ignore_nulls=True)
        return column(result)

    def median(self, key: str, value: Sql) -> Sql:
        """The median of `value` over the events so far, which no sums of stretches give."""
        carried = self.carry(key, value)
        result = self._name("s", f"MEDIAN {key}")
        if result not in self.direct:
            order = [column("t"), column("z")]
            self.direct[result] = window(agg("MEDIAN", column(carried)), self.partition, order)
        return column(result)

    def running(self, name: str, key: str, value: Sql) -> Sql:
        """SUM, COUNT, MIN or MAX of `value` over the events so far."""
        carried = self.carry(key, value)
        result = self._name("s", f"{name} {key}")
        if result not in self.so_far:
            part = self._name("g", f"{name} {key}")
            self.grouped[part] = agg(name, column(carried))
            self.so_far[result] = ("SUM" if name == "COUNT" else name, part)
        return column(result)

    @property
    def rows(self) -> Sql:
        """How many rows the question sees; 0 for none."""
        return exp.Coalesce(this=self.running("SUM", "one", column("one")), expressions=[number(0)])

    @property
    def _order(self) -> list[Sql]:
        return [column("t"), column("o")]

    def count(self, value: str) -> Sql:
        return exp.Coalesce(this=self.running("COUNT", value, column(value)), expressions=[number(0)])

    def centred(self, value: str) -> Sql:
        """The value minus the entity's first one, so that power sums keep their digits."""
        return minus(column(value), self._first_of(value))

    def _first_of(self, value: str) -> Sql:
        earliest = when(not_null(column(value)), column("o"))
        return self.first(f"first {value}", func("MIN_BY", column(value), earliest))

    def first(self, key: str, value: Sql) -> Sql:
        """An aggregate over all of an entity's events that tells of its first one only, brought along by each event."""
        name = self._name("f", key)
        self.firsts.setdefault(name, value)
        return column(name)

    def occurrence(self, value: str) -> Sql:
        """How often the event's value has occurred up to it."""
        return self.ahead(f"nth {value}", lambda: row_number([*self.partition, value], self._order))

    def power(self, value: str, exponent: int) -> Sql:
        centred = self.centred(value)
        return self.running("SUM", f"{value}^{exponent}", times(*[centred.copy() for _ in range(exponent)]))


def _sum(s: Stream, m: Measure) -> Sql:
    return exp.Coalesce(this=s.running("SUM", m.values[0], column(m.values[0])), expressions=[number(0)])


def _count(s: Stream, m: Measure) -> Sql:
    return s.rows


def _mean(s: Stream, m: Measure) -> Sql:
    total, count = s.running("SUM", m.values[0], column(m.values[0])), s.count(m.values[0])
    return when(exp.GT(this=count, expression=number(0)), divided(total, count.copy()))


def _extreme(name: str) -> Callable[[Stream, Measure], Sql]:
    return lambda s, m: s.running(name, m.values[0], column(m.values[0]))


def _second_moment(s: Stream, value: str) -> tuple[Sql, Sql, Sql]:
    """(count, sum of centred values, sum of squares about the mean)."""
    count, one, two = s.count(value), s.power(value, 1), s.power(value, 2)
    return count, one, minus(two, divided(times(one, one.copy()), count.copy()))


def _std(s: Stream, m: Measure) -> Sql:
    count, _, squares = _second_moment(s, m.values[0])
    spread = exp.Greatest(this=squares, expressions=[cast(number(0), "DOUBLE")])
    root = func("SQRT", divided(spread, minus(count.copy(), number(1))))
    return when(exp.GT(this=count, expression=number(1)), root)


def _skew(s: Stream, m: Measure) -> Sql:
    """pandas' bias-free skewness, 0 where a moment is smaller than 1e-14 as there."""
    value = m.values[0]
    count, one, squares = _second_moment(s, value)
    two, three = s.power(value, 2), s.power(value, 3)
    mean = divided(one, count)
    cubes = plus(
        minus(three, times(number(3), mean, two)), times(number(2), count.copy(), mean.copy(), mean.copy(), mean.copy())
    )
    n = cast(count.copy(), "DOUBLE")
    factor = divided(times(n, func("SQRT", minus(n.copy(), number(1)))), minus(n.copy(), number(2)))
    tiny = exp.Literal.number("1e-14")
    small: Sql = exp.Or(
        this=exp.LT(this=exp.Paren(this=squares), expression=tiny),
        expression=exp.LT(this=func("ABS", cubes), expression=tiny.copy()),
    )
    ratio = divided(cubes, func("POWER", squares, exp.Literal.number("1.5")))
    value_ = when(small, cast(number(0), "DOUBLE"), times(factor, ratio))
    return when(exp.GT(this=count.copy(), expression=number(2)), value_)


def _median(s: Stream, m: Measure) -> Sql:
    return s.median(m.values[0], column(m.values[0]))


def _percent_true(s: Stream, m: Measure) -> Sql:
    true = s.running("SUM", f"true {m.values[0]}", exp.Coalesce(this=column(m.values[0]), expressions=[number(0)]))
    return when(exp.GT(this=s.rows, expression=number(0)), divided(true, s.rows))


def _num_unique(s: Stream, m: Measure) -> Sql:
    value = column(m.values[0])
    first = both(not_null(value), exp.EQ(this=s.occurrence(m.values[0]), expression=number(1)))
    found = s.running("SUM", f"new {m.values[0]}", when(first, number(1), number(0)))
    return when(exp.GT(this=s.rows, expression=number(0)), found)


def _mode(s: Stream, m: Measure) -> Sql:
    """The most frequent code so far, the smallest of several: count and reversed code as one number, its maximum."""
    value, size = column(m.values[0]), exp.Literal.number(f"{m.codes}.0")
    reversed_code = minus(number(m.codes - 1), value)
    key = when(not_null(value.copy()), plus(times(s.occurrence(m.values[0]), size), reversed_code))
    best = s.running("MAX", f"mode {m.values[0]}", key)
    whole = func("FLOOR", divided(best, size.copy()))
    return minus(number(m.codes - 1), minus(best.copy(), times(whole, size.copy())))


def _entropy(s: Stream, m: Measure) -> Sql:
    """log N − (Σ c log c) / N over the counts c of each value, null among them."""
    nth = cast(s.occurrence(m.values[0]), "DOUBLE")
    less = minus(nth.copy(), number(1))
    before = when(exp.GT(this=nth.copy(), expression=number(1)), times(less, func("LN", less.copy())), number(0))
    growth = minus(times(nth, func("LN", nth.copy())), before)
    total = s.running("SUM", f"entropy {m.values[0]}", growth)
    rows = cast(s.rows, "DOUBLE")
    value = minus(func("LN", rows), divided(total, rows.copy()))
    return when(exp.GT(this=s.rows, expression=number(0)), value)


def _end_of(s: Stream, name: str, value: str) -> Sql:
    """The value of the first or last row in the order of the rows' own times, missing if that row's is."""
    # boxed: NaN for null, so that a missing value is not passed over
    nan = cast(exp.Literal.string("NaN"), "DOUBLE")
    boxed = s.carry(f"box {value}", exp.Coalesce(this=cast(column(value), "DOUBLE"), expressions=[nan]))
    found = s.boxed(name, boxed, s.carry("own", column("own")), s.carry("o", column("o")))
    return when(exp.Not(this=func("ISNAN", found)), found.copy())


def _end(name: str) -> Callable[[Stream, Measure], Sql]:
    return lambda s, m: _end_of(s, name, m.values[0])


def _time_since_last(s: Stream, m: Measure) -> Sql:
    """Of the row's own time if the measure has no values, else of the last row's value."""
    latest = _end_of(s, "LAST_VALUE", m.values[0]) if m.values else s.running("MAX", "own", column("own"))
    seconds = divided(minus(column("p_at"), latest), exp.Literal.number("1e9"))
    return divided(seconds, exp.Literal.number(repr(m.unit)))


def _avg_time_between(s: Stream, m: Measure) -> Sql:
    name = m.values[0] if m.values else "own"
    latest, earliest = s.running("MAX", name, column(name)), s.running("MIN", name, column(name))
    count = s.count(name) if m.values else s.rows
    seconds = divided(divided(minus(latest, earliest), minus(count, number(1))), exp.Literal.number("1e9"))
    return when(exp.GT(this=count.copy(), expression=number(1)), divided(seconds, exp.Literal.number(repr(m.unit))))


def _trend(s: Stream, m: Measure) -> Sql:
    """Slope of the value over time, in the unit (day, hour, minute or second) that divides the first time, as there."""
    value, time = m.values[0], m.values[1] if len(m.values) > 1 else "own"
    key = f"{value} {time}"
    here = both(not_null(column(value)), not_null(column(time)))
    first = s.first(f"first time {key}", func("MIN_BY", column(time), when(here, column("o"))))
    x = when(here.copy(), divided(minus(column(time), first), exp.Literal.number("1e9")))
    y = when(here.copy(), s.centred(value))
    count = exp.Coalesce(this=s.running("COUNT", f"x {key}", x), expressions=[number(0)])
    sx, sy = s.running("SUM", f"x {key}", x), s.running("SUM", f"y {key}", y)
    sxx = s.running("SUM", f"xx {key}", times(x.copy(), x.copy()))
    sxy = s.running("SUM", f"xy {key}", times(x.copy(), y.copy()))
    start = s.running("MAX", f"x0 {key}", when(here.copy(), first.copy()))
    # a double holds nanoseconds to about 1e-7 seconds
    whole = func("FLOOR", plus(divided(start, exp.Literal.number("1e9")), exp.Literal.number("1e-6")))
    unit: Sql = exp.Literal.number("1.0")
    for size in (60, 3600, 86400):
        rest = exp.Mod(this=cast(whole.copy(), "BIGINT"), expression=number(size))
        unit = when(exp.EQ(this=rest, expression=number(0)), exp.Literal.number(f"{size}.0"), unit)
    spread = minus(sxx, divided(times(sx, sx.copy()), count.copy()))
    slope = divided(minus(sxy, divided(times(sx.copy(), sy), count.copy())), spread)
    low, high = s.running("MIN", f"x {key}", x.copy()), s.running("MAX", f"x {key}", x.copy())
    value_ = when(exp.EQ(this=low, expression=high), cast(number(0), "DOUBLE"), times(slope, unit))
    return when(exp.GT(this=count.copy(), expression=number(2)), value_)


FORMULAS: dict[str, Callable[[Stream, Measure], Sql]] = {
    "sum": _sum,
    "count": _count,
    "mean": _mean,
    "min": _extreme("MIN"),
    "max": _extreme("MAX"),
    "std": _std,
    "skew": _skew,
    "median": _median,
    "percent_true": _percent_true,
    "num_unique": _num_unique,
    "mode": _mode,
    "entropy": _entropy,
    "first": _end("FIRST_VALUE"),
    "last": _end("LAST_VALUE"),
    "time_since_last": _time_since_last,
    "avg_time_between": _avg_time_between,
    "trend": _trend,
}
