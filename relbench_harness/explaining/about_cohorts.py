"""The part of a page about cohorts: how predictions change over the values of the columns that count most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan
from typing import Any

from relbench_harness.explain.cohorts import Cohort, cohort
from relbench_harness.explain.explanation import Explanation
from relbench_harness.explaining.fitted import Fitted
from relbench_harness.explaining.pictures import by_weight, shares_of, weight
from relbench_harness.site.drawing import Figure, Ink, layer, names, number, svg, unique
from relbench_harness.site.tables import Cell, Column, quantity
from relbench_harness.site.words import counted, fixed, percent, span
from relbench_harness.temporal.paths import keys_away
from relbench_harness.trial.parts import Part, plain

PER_DISTANCE, MOST = 2, 6
"""Columns of tables at one distance from the entity, and of all, at most."""


def cohorts_of(fitted: Fitted, found: Explanation) -> tuple[Cohort, ...]:
    """Those of the columns that the model looks at most, keys left out, at each distance from the entity; the nearest first."""
    made: list[Cohort] = []
    away = keys_away(fitted.stages.shown, fitted.stages.task.entity_table)
    for amount in by_weight(found, "column"):
        table, column = amount.part.table or "", amount.part.column
        if len(made) == MOST or weight(amount) <= 0:
            break
        there = sum(one.away == away.get(table) for one in made)
        if there < PER_DISTANCE and column is not None and column in fitted.stages.shown[table].attributes:
            one = cohort(fitted.predictor, fitted.valid, table, column)
            made += [one] if one is not None else []
    return tuple(sorted(made, key=lambda one: MOST if one.away is None else one.away))


def by_distance(fitted: Fitted, found: Explanation) -> dict[int, float]:
    """Keys away from the entity → the share of the importance of all columns, those of tables that no key leads to left out."""
    away = keys_away(fitted.stages.shown, fitted.stages.task.entity_table)
    shares, totals = shares_of(found, "column"), dict[int, float]()
    for amount in found.of("column"):
        if (distance := away.get(amount.part.table or "")) is not None:
            totals[distance] = totals.get(distance, 0.0) + shares[amount.part.label]
    return dict(sorted(totals.items()))


def about_cohorts(cohorts: Sequence[Cohort], distances: Mapping[int, float]) -> list[Part]:
    """Charts and a table; nothing where there are no cohorts."""
    if not cohorts:
        return []
    said = (
        "What is predicted on average where all rows that an example sees have the same value in a column, and nothing else is changed. "
        "Where a column goes with others, some of these rows are such as never occur."
    )
    shares = ", ".join(f"{percent(share)} {counted(away, 'key')} away" for away, share in distances.items())
    by = (
        (f"Of the importance of all columns, by the distance of their tables from the entity: {shares}.",) if shares else ()
    )
    columns = (
        Column("Column"),
        Column("Keys away", True),
        Column("Value"),
        Column("Mean prediction", True),
        Column("95 % interval", True),
    )
    rows = [
        (Cell(f"{one.table}.{one.column}"), quantity(nan if one.away is None else float(one.away)), Cell(_text(point.value)), Cell(fixed(point.mean), point.mean), Cell(span(point.low, point.high), point.low))
        for one in cohorts
        for point in one.points
    ]  # fmt: skip
    table = plain("Mean predictions over values of columns", columns, rows)
    return [Part("cohorts", "Over the values of columns", (said, *by), (table,), tuple(_figure(one) for one in cohorts))]


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:,.6g}"


def _figure(one: Cohort) -> Figure:
    labels = unique([_text(point.value) for point in one.points])
    rows: list[dict[str, Any]] = [
        {"x": label if not one.is_numeric else point.value, "y": point.mean, "low": point.low, "high": point.high}
        for label, point in zip(labels, one.points, strict=True)
    ]
    heading = f"{one.table}.{one.column}"
    x = number("x", heading) if one.is_numeric else names("x", sort=labels, title=heading, axis={"labelLimit": 90})
    y = number("y", "Mean prediction")
    layers = [
        layer([{"y": one.plain}], {"type": "rule", "color": Ink.FAINT, "strokeDash": [4, 3]}, y=y),
        layer(rows, {"type": "rule", "color": Ink.BLUE, "size": 2.5, "opacity": 0.55}, x=x, y=number("low", "Mean prediction"), y2={"field": "high"}),
        layer(rows, {"type": "point", "filled": True, "size": 60, "color": Ink.BLUE, "opacity": 1}, x=x, y=y),
    ]  # fmt: skip
    if one.is_numeric:
        layers.append(layer(rows, {"type": "line", "color": Ink.BLUE, "size": 1.8}, x=x, y=y))
    caption = (
        "Dots are mean predictions, bars their 95 % intervals over examples; the dashed line is the mean as the data are."
    )
    return Figure(heading, caption, svg(260, 190, layers))
