"""What every encoder of a column is.

Invariant: no encoder can fail on later data. A value never seen has a code of its own, a null is NaN or code 0, an outlier is
clipped.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from relbench_harness.data.stypes import is_text, plain

Part = Literal["numbers", "moments", "codes", "sets", "vectors"]


class Encoder(Protocol):
    """One column's encoder.

    Attributes:
        part: Which part of a record it fills.
        names: Its features there.
    """

    @property
    def column(self) -> str: ...

    @property
    def part(self) -> Part: ...

    @property
    def names(self) -> tuple[str, ...]: ...

    def encode(self, values: pa.Array) -> NDArray[Any]:
        """(n, len(names)) float32 for numbers and moments, int32 for codes and sets, float16 for vectors."""
        ...


def as_lists(values: pa.Array) -> pa.Array:
    """Lists of any kind as large lists; texts declared multi-categorical are split at commas, bars and semicolons."""
    values = plain(values)
    kind = values.type
    if is_text(kind):
        return pc.split_pattern_regex(values, r"\s*[,;|]\s*").cast(pa.large_list(pa.large_string()))
    return values.cast(pa.large_list(kind.value_type))
