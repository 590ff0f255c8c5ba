"""Where the values of a feature come from, as data: tables, columns and the routes on which they are reached.

Invariant: a feature names every column that its values rest on, apart from keys and times that decide what is visible.
"""

from __future__ import annotations

from dataclasses import dataclass

from relbench_harness.temporal.routes import HERE, Route

TIME = "time of the example"
LABELS = "past labels"


@dataclass(frozen=True, order=True)
class Origin:
    """One column that a feature reads.

    Attributes:
        table: None where it is no table's: the example's time, or labels.
        column: None where the rows themselves count and none of their columns. Without a table, `TIME` or `LABELS`.
        route: From the entity's row to the rows.
    """

    table: str | None
    column: str | None = None
    route: Route = HERE
