"""Which encoders a column gets: its semantic type decides, and what they know they learn from the rows they are fitted on."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from relbench_harness.data.stypes import Stype, spread
from relbench_harness.graph.code_encoders import Categories, Category
from relbench_harness.graph.encoder import Encoder
from relbench_harness.graph.number_encoders import Calendar, Moment, Number
from relbench_harness.graph.text import TextEncoder
from relbench_harness.graph.vector_encoders import Text, Vector

SMALL = 32
"""An integer column with no more distinct values is encoded both as a number and as a category."""


def fit_encoders(column: str, stype: Stype, values: pa.ChunkedArray, origin: int, text: TextEncoder) -> list[Encoder]:
    """The encoders of one column, none where it says nothing (all rows equal or null).

    Args:
        values: The rows visible at the end of training.
        origin: Nanoseconds; the end of training, from which moments are counted.
    """
    found: list[Encoder | None]
    if stype is Stype.numerical:
        found = [Number.fit(column, values), *_both_ways(column, values, Category)]
    elif stype is Stype.categorical:
        found = [Category.fit(column, values), *_both_ways(column, values, Number)]
    elif stype is Stype.multicategorical:
        found = [Categories.fit(column, values)]
    elif stype is Stype.timestamp:
        found = [Calendar.fit(column, values), Moment(column, origin)]
    elif stype is Stype.embedding:
        found = [Vector.fit(column, values)]
    else:
        found = [Text(column, text)]
    return [encoder for encoder in found if encoder is not None]


def _both_ways(column: str, values: pa.ChunkedArray, other: type[Number] | type[Category]) -> list[Encoder | None]:
    """Integers of few values are counts or grades as much as categories: the other reading of such a column."""
    if not pa.types.is_integer(values.type) or pc.count_distinct(spread(values)).as_py() > SMALL:
        return []
    return [other.fit(column, values)]
