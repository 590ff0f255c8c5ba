"""How predictions change over the values of a column: partial dependence through the data.

Invariant: every value stands in a row that is older than the cut-off of every example; nothing but that column is changed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relbench_harness.data.stypes import is_text
from relbench_harness.explain.changes import SetColumn
from relbench_harness.explain.outputs import Output, answers, check_values, same_again
from relbench_harness.protocol.audit.scenes import sampled
from relbench_harness.protocol.method import Examples, Predictor
from relbench_harness.temporal.paths import keys_away

MOST_VALUES = 6


@dataclass(frozen=True)
class Point:
    """One value of a column, and what is predicted on average where all visible rows have it.

    Attributes:
        value: A number, or a text.
        low, high: The 95 % interval that the choice of examples leaves of the difference to the plain predictions, about `mean`.
    """

    value: float | str
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Cohort:
    """Predictions over the values of a column.

    Attributes:
        plain: Their mean as the data are.
        away: How many foreign keys the table is away from the entity, at least; None where no key leads there.
    """

    table: str
    column: str
    plain: float
    points: tuple[Point, ...]
    away: int | None = None

    @property
    def is_numeric(self) -> bool:
        return all(not isinstance(point.value, str) for point in self.points)


def cohort(predictor: Predictor, examples: Examples, table: str, column: str, most: int = 150) -> Cohort | None:
    """Sets the column to each of a few of its values among all rows; None where it holds neither numbers nor words, or one value.

    Args:
        most: At most so many examples are answered.

    Raises:
        InputError: A recommendation, or no example.
    """
    check_values(examples)
    rows = _rows(examples, table, column)
    if len(rows) < 2:
        return None
    predictor, some = same_again(predictor), examples.take(sampled(examples, most, 0))
    before = answers(predictor, some)
    output = Output.chosen(before)
    plain = output.of(before)
    points = []
    for value, row in rows:
        after = output.of(answers(predictor, SetColumn(table, column, row).made(some, 0)))
        error = 1.96 * float((after - plain).std()) / np.sqrt(len(plain))
        mean = float(after.mean())
        points.append(Point(value, mean, mean - error, mean + error))
    away = keys_away(examples.database, examples.task.entity_table).get(table)
    return Cohort(table, column, float(plain.mean()), tuple(points), away)


def _rows(examples: Examples, table: str, column: str) -> list[tuple[float | str, int]]:
    """Values over the column's range, or its most frequent ones, each with a row that holds it."""
    older = examples.database.upto(int(examples.cutoff.min()))[table].rows
    if column not in older.column_names:
        return []
    values = older.column(column)
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        numbers = np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
        known = np.flatnonzero(np.isfinite(numbers))
        order = known[np.argsort(numbers[known], kind="stable")]
        places = np.linspace(0.02, 0.98, MOST_VALUES + 1) * max(len(order) - 1, 0)
        found = {float(numbers[row]): int(row) for row in order[places.round().astype(np.int64)]} if len(order) else {}
        return list(found.items())
    if not (is_text(kind) or pa.types.is_boolean(kind)):
        return []
    texts = values.cast(kind)
    counts = sorted(pc.value_counts(texts.drop_null()).to_pylist(), key=lambda one: -one["counts"])[:MOST_VALUES]
    return [(str(one["values"]), pc.index(texts, pa.scalar(one["values"], kind)).as_py()) for one in counts]
