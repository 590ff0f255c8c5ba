"""What the inputs of a network add to one answer, row by row: the value that networks give and explanations read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from relbench_harness.features.origin import Origin
from relbench_harness.temporal.routes import Route


class RowAmounts(NamedTuple):
    """Gradient × input of the rows of one table that were read.

    Attributes:
        rows: (m,) row numbers, each once.
        routes: (m,) how each is reached from the entity, by the fewest keys.
        columns: The k columns that are read; the time column stands for a row's age.
        values: (m, k) amounts.
    """

    rows: NDArray[np.int64]
    routes: tuple[Route, ...]
    columns: tuple[str, ...]
    values: NDArray[np.float64]


class InputAmounts(NamedTuple):
    """Gradient × input of everything that a network reads of one example.

    Attributes:
        margin: The answer before its link.
        tables: Table → its rows.
        summary: Amounts of what is read beside rows: statistics of whole histories, the example's time.
    """

    margin: float
    tables: Mapping[str, RowAmounts]
    summary: tuple[tuple[Origin, float], ...]
