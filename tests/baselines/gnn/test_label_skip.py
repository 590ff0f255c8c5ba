"""The label skip passes past labels through whole."""

from __future__ import annotations

import numpy as np
import torch
from relbench_harness.baselines.gnn.label_skip import LabelSkip
from relbench_harness.baselines.gnn.objectives import Regression


def test_the_skip_starts_as_a_regression_on_past_labels_and_follows_the_largest() -> None:
    rng = np.random.default_rng(0)
    typical = rng.lognormal(3, 1, 500)
    own = typical[:, None] * rng.uniform(0.9, 1.1, (500, 5))
    own[::10] = np.nan
    skip = LabelSkip(Regression.of(typical), own, typical)
    answer = Regression(**{**vars(Regression.of(typical)), "high": np.inf})
    numbers = np.array([[1e6] * 5, [20.0] * 5, [np.nan] * 5], np.float32)
    with torch.no_grad():
        large, middling, unknown = answer.decode(skip(torch.from_numpy(numbers)).double().numpy())
    assert 5e5 < large < 2e6
    assert 15 < middling < 27
    assert np.isfinite(unknown)
