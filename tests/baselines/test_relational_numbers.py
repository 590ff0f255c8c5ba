"""How networks read numbers: bins say where a number lies, the echo passes an entity's own labels through whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from relbench_harness.baselines.answers import Amount
from relbench_harness.baselines.bins import Bins
from relbench_harness.baselines.echo import Echo


def quartiles(values: np.ndarray) -> np.ndarray:
    return np.quantile(values, np.linspace(0, 1, 5), axis=0)


@given(arrays(np.float64, (40, 3), elements=st.floats(-100, 100, width=32)))
def test_bins_add_up_to_the_number_within_training_and_to_its_edge_outside(values: np.ndarray) -> None:
    edges = quartiles(values)
    bins = Bins(edges)
    asked = np.concatenate([values, values * 3 + 1]).astype(np.float32)
    filled = bins(torch.from_numpy(asked)).numpy() + 0.5
    assert filled.shape == (80, bins.width)
    assert ((filled >= 0) & (filled <= 1)).all()
    column, size = bins.column.numpy(), bins.size.numpy()
    for number in range(3):
        if (column == number).any():
            read = (filled[:, column == number] * size[column == number]).sum(1)
            inside = np.clip(asked[:, number], edges[0, number], edges[-1, number])
            np.testing.assert_allclose(read, inside - edges[0, number], atol=1e-3)


def test_columns_that_never_vary_take_no_room() -> None:
    bins = Bins(quartiles(np.stack([np.ones(50), np.arange(50.0)], axis=1)))
    assert bins.width == 4
    assert bins.column.tolist() == [1, 1, 1, 1]


def test_the_echo_starts_as_a_regression_on_past_labels_and_follows_the_largest() -> None:
    rng = np.random.default_rng(0)
    usual = rng.lognormal(3, 1, 500)
    own = usual[:, None] * rng.uniform(0.9, 1.1, (500, 5))
    own[::10] = np.nan
    own = np.concatenate([own, np.full((500, 2), usual.mean())], axis=1)
    echo = Echo(Amount.of(usual), own, usual, leveled=False)
    answer = Amount(**{**vars(Amount.of(usual)), "high": np.inf})
    asked = np.array([[1e6] * 5 + [33.0] * 2, [20.0] * 5 + [33.0] * 2, [np.nan] * 5 + [33.0] * 2], np.float32)
    with torch.no_grad():
        large, middling, unknown = answer.decode(echo(torch.from_numpy(asked)).double().numpy())
    assert 5e5 < large < 2e6
    assert 15 < middling < 27
    assert np.isfinite(unknown)


@pytest.mark.parametrize("leveled", [True, False])
def test_the_echo_answers_for_those_without_labels_by_the_level_of_newcomers(leveled: bool) -> None:
    rng = np.random.default_rng(0)
    level = rng.uniform(8, 20, 2000)
    usual = level + rng.normal(0, 4, 2000)
    labels = usual + rng.normal(0, 1, 2000)
    means = usual[:, None] + rng.normal(0, 1, (2000, 5))
    means[::3] = np.nan
    labels[::3] += 3  # newcomers have more
    answer = Amount.of(labels)
    echo = Echo(answer, np.concatenate([means, level[:, None], level[:, None] + 3], axis=1), labels, leveled)
    asked = np.array([[np.nan] * 5 + [9.0, 12.0], [np.nan] * 5 + [17.0, 20.0], [14.0] * 5 + [9.0, 12.0]], np.float32)
    with torch.no_grad():
        early, late, known = answer.decode(echo(torch.from_numpy(asked)).double().numpy())
    assert 13 < known < 15
    if leveled:
        assert abs(early - 12) < 1.5 and abs(late - 20) < 1.5
    else:
        assert early == late
