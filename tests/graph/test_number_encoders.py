"""What a number is encoded as can be decoded."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from relbench_harness.graph.number_encoders import Number


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=3, max_size=40, unique=True))
def test_decoding_gives_back_what_was_encoded_within_the_encoders_range(values: list[float]) -> None:
    column = pa.chunked_array([pa.array(values, pa.float64())])
    number = Number.fit("x", column)
    assert number is not None
    encoded = number.encode(column.combine_chunks())
    again = number.encode(pa.array(number.decode(encoded[:, 0])))
    np.testing.assert_allclose(again, encoded, atol=1e-3)
    inside = np.abs(encoded[:, 0]) < 10
    np.testing.assert_allclose(
        number.decode(encoded[:, 0])[inside], np.array(values)[inside], rtol=1e-3, atol=1e-3 * np.ptp(values)
    )
