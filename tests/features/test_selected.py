"""Columns that are wanted have the values that they have among all columns, whether or not they were chosen on a sample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from made_examples import examples_about
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.features.block import Features, FeatureUnion
from relbench_harness.features.entity import Calendar, EntityColumns
from relbench_harness.features.selected import fit_selected
from relbench_harness.features.windows import Windows


@pytest.mark.parametrize("on_a_sample", [False, True])
@pytest.mark.parametrize("every", [None, 2, 5])
def test_selected_columns_equal_those_of_the_whole(shop: Database, on_a_sample: bool, every: int | None) -> None:
    stages = [examples_about(shop, "customers", [0, 1, 2], [d, d, d + 1]) for d in (2, 3)]
    union = FeatureUnion((EntityColumns(), Calendar(), Windows(days=(1, 3))))
    sample = [stages[0].take(np.arange(2))] if on_a_sample else None

    def choose(features: Sequence[Features]) -> NDArray[np.int64] | None:
        assert [len(f) for f in features] == ([2] if on_a_sample else [3, 3])
        return None if every is None else np.arange(0, len(features[0].columns), every)

    block, features = fit_selected(union, stages, sample, choose)
    whole = union.fit(stages[0])
    for stage, found in zip(stages, features, strict=True):
        expected = whole.transform(stage)
        kept = expected.names[:: every or 1]
        assert found.names == kept and len(kept) > 2
        np.testing.assert_array_equal(found.to_matrix(), expected.select(kept).to_matrix())
        np.testing.assert_array_equal(block.transform(stage).to_matrix(), found.to_matrix())
