"""What an explanation is: parts of the data with signed amounts.

Invariant: an explanation is a value. It holds no predictor and no database, so that pages, sentences and metrics read it alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from relbench_harness.errors import InputError, nearest

Level = Literal["model", "rows"]
"""Of a predictor as a whole, or of single predictions down to rows."""
Kind = Literal["table", "path", "column", "hop", "age", "row", "other"]
KINDS: tuple[Kind, ...] = get_args(Kind)
AGES: tuple[float, ...] = (1.0, 7.0, 30.0, 90.0, 365.0, 1825.0)
"""Days at which bands of age end; one more band is for all that is older."""


@dataclass(frozen=True, order=True)
class AgeBand:
    """Rows that are at least `low` and less than `high` days older than the cut-off."""

    low: float
    high: float

    @property
    def name(self) -> str:
        """In words."""
        return f"{self.low:g} days and older" if self.high == float("inf") else f"{self.low:g} to {self.high:g} days"

    def holds(self, days: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(n,) which ages lie in it."""
        return (days >= self.low) & (days < self.high)


def age_bands(ends: Iterable[float] = AGES) -> tuple[AgeBand, ...]:
    """The bands that end at `ends` (days, ascending), and one for all that is older."""
    bounds = [0.0, *ends, float("inf")]
    return tuple(AgeBand(low, high) for low, high in pairwise(bounds))


@dataclass(frozen=True)
class Part:
    """A part of the data: which of the fields are set depends on `kind`.

    Attributes:
        path: The route from the entity, such as `orders[customer]/product`; empty for the entity's own row.
        hop: How many foreign keys the rows are away from the entity.
        row: Row number in `table` of the examples' database.
        time: Of the row, nanoseconds since 1970; None in a static table.
        via: The rows on the way to the entity, (table, row number), from the one next to `row` to the entity itself.
        name: Of what is no part of a table: the example's time, past labels, a feature of unknown origin.
    """

    kind: Kind
    table: str | None = None
    path: str | None = None
    column: str | None = None
    hop: int | None = None
    age: AgeBand | None = None
    row: int | None = None
    time: int | None = None
    via: tuple[tuple[str, int], ...] = ()
    name: str = ""

    @property
    def label(self) -> str:
        """What it is called in lists."""
        if self.kind == "hop":
            return f"{self.hop} keys away"
        if self.kind == "age":
            return self.age.name if self.age is not None else "without a time"
        if self.kind == "path":
            return self.path or "own row"
        if self.kind == "column":
            return f"{self.table}.{self.column}" if self.column is not None else f"rows of {self.table}"
        return f"{self.table} row {self.row}" if self.kind == "row" else self.table or self.name


@dataclass(frozen=True)
class Amount:
    """How much a part counts.

    Attributes:
        value: Signed, in the explanation's unit. At model level it is 0 or more, but for a part whose loss improves the score.
        low, high: Its interval; NaN where none is known.
        effect: Model level: the mean absolute change of the predictions; NaN where it was not measured.
    """

    part: Part
    value: float
    low: float = float("nan")
    high: float = float("nan")
    effect: float = float("nan")


@dataclass(frozen=True)
class Explanation:
    """Amounts of parts, of one kind of parts or of several.

    Attributes:
        algorithm: What made it.
        unit: What amounts are in: `prediction`, `margin`, or the name of a metric.
        example: Row level: the position of the example; None at model level.
        prediction: Row level: the number that is explained, in `unit`.
        base: What remains without the parts, where the algorithm says so; NaN elsewhere.
        notes: What else is known of how it was made.
    """

    level: Level
    algorithm: str
    unit: str
    amounts: tuple[Amount, ...]
    example: int | None = None
    prediction: float = float("nan")
    base: float = float("nan")
    notes: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of parts that it has amounts of."""
        have = {amount.part.kind for amount in self.amounts}
        return tuple(kind for kind in KINDS if kind in have)

    def of(self, kind: Kind) -> tuple[Amount, ...]:
        """The amounts of parts of one kind, the greatest first, ties as they stand.

        Raises:
            InputError: There is no such kind.
        """
        if kind not in KINDS:
            raise InputError(f"no kind of parts {kind!r}; {nearest(str(kind), KINDS)}")
        return tuple(sorted((a for a in self.amounts if a.part.kind == kind), key=lambda a: -abs(a.value)))
