"""How networks read numbers: the encoding says where a number lies, the label skip passes past labels through whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from relbench_harness.baselines.gnn.label_skip import LabelSkip
from relbench_harness.baselines.gnn.layers import PiecewiseLinearEncoding
from relbench_harness.baselines.gnn.objectives import Regression


def quartiles(values: np.ndarray) -> np.ndarray:
    return np.quantile(values, np.linspace(0, 1, 5), axis=0)


@given(arrays(np.float64, (40, 3), elements=st.floats(-100, 100, width=32)))
def test_the_encoding_adds_up_to_the_number_within_training_and_to_its_edge_outside(values: np.ndarray) -> None:
    edges = quartiles(values)
    encoding = PiecewiseLinearEncoding(edges)
    numbers = np.concatenate([values, values * 3 + 1]).astype(np.float32)
    filled = encoding(torch.from_numpy(numbers)).numpy() + 0.5
    assert filled.shape == (80, encoding.width)
    assert ((filled >= 0) & (filled <= 1)).all()
    column, size = encoding.column.numpy(), encoding.size.numpy()
    for number in range(3):
        if (column == number).any():
            read = (filled[:, column == number] * size[column == number]).sum(1)
            inside = np.clip(numbers[:, number], edges[0, number], edges[-1, number])
            np.testing.assert_allclose(read, inside - edges[0, number], atol=1e-3)


def test_columns_that_never_vary_take_no_room() -> None:
    encoding = PiecewiseLinearEncoding(quartiles(np.stack([np.ones(50), np.arange(50.0)], axis=1)))
    assert encoding.width == 4
    assert encoding.column.tolist() == [1, 1, 1, 1]


def test_the_skip_starts_as_a_regression_on_past_labels_and_follows_the_largest() -> None:
    rng = np.random.default_rng(0)
    typical = rng.lognormal(3, 1, 500)
    own = typical[:, None] * rng.uniform(0.9, 1.1, (500, 5))
    own[::10] = np.nan
    own = np.concatenate([own, np.full((500, 2), typical.mean())], axis=1)
    skip = LabelSkip(Regression.of(typical), own, typical, recent_mean=False)
    answer = Regression(**{**vars(Regression.of(typical)), "high": np.inf})
    numbers = np.array([[1e6] * 5 + [33.0] * 2, [20.0] * 5 + [33.0] * 2, [np.nan] * 5 + [33.0] * 2], np.float32)
    with torch.no_grad():
        large, middling, unknown = answer.decode(skip(torch.from_numpy(numbers)).double().numpy())
    assert 5e5 < large < 2e6
    assert 15 < middling < 27
    assert np.isfinite(unknown)


@pytest.mark.parametrize("recent_mean", [True, False])
def test_the_skip_predicts_the_recent_mean_for_cold_starts(recent_mean: bool) -> None:
    rng = np.random.default_rng(0)
    recent = rng.uniform(8, 20, 2000)
    typical = recent + rng.normal(0, 4, 2000)
    labels = typical + rng.normal(0, 1, 2000)
    means = typical[:, None] + rng.normal(0, 1, (2000, 5))
    means[::3] = np.nan
    labels[::3] += 3  # cold starts have more
    answer = Regression.of(labels)
    skip = LabelSkip(answer, np.concatenate([means, recent[:, None], recent[:, None] + 3], axis=1), labels, recent_mean)
    numbers = np.array([[np.nan] * 5 + [9.0, 12.0], [np.nan] * 5 + [17.0, 20.0], [14.0] * 5 + [9.0, 12.0]], np.float32)
    with torch.no_grad():
        early, late, known = answer.decode(skip(torch.from_numpy(numbers)).double().numpy())
    assert 13 < known < 15
    if recent_mean:
        assert abs(early - 12) < 1.5 and abs(late - 20) < 1.5
    else:
        assert early == late
