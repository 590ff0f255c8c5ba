"""Features are the same to the last digit each time they are computed, so that the same seed gives the same result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from relbench_harness.data.dataset import open_task
from relbench_harness.features.block import Block
from relbench_harness.features.context import ParentContext
from relbench_harness.features.dfs.synthesis import DeepFeatureSynthesis
from relbench_harness.features.windows import Windows
from relbench_harness.protocol.stages import Stages


@pytest.mark.slow
@pytest.mark.parametrize("block", [DeepFeatureSynthesis(), Windows(), ParentContext()], ids=lambda b: type(b).__name__)
def test_twice_is_the_same(real_data: Path, block: Block) -> None:
    train = Stages(*open_task("retail-uk/customer-spend"), "rolling").examples("train")
    fitted = block.fit(train)
    first, second = (fitted.transform(train) for _ in range(2))
    assert first.names == second.names
    for one, other in zip(first.columns, second.columns, strict=True):
        assert np.array_equal(one.values, other.values, equal_nan=one.vocabulary is None), one.name
