"""Dropout from random words: the share, the mean and the seed of the usual one."""

from __future__ import annotations

import pytest
import torch
from relbench_harness.baselines.gnn.layers import Dropout


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5])
def test_it_drops_its_share_and_keeps_the_mean(p: float) -> None:
    torch.manual_seed(0)
    values = Dropout(p)(torch.ones(999, 1001))
    dropped = (values == 0).float()
    assert abs(float(dropped.mean()) - p) < 0.005
    assert abs(float(values.mean()) - 1) < 0.01
    # numbers of one random word, and of one place in their words, are dropped as often as all
    words = dropped.flatten()[:999_000].view(-1, 8)
    assert float((words.mean(0) - p).abs().max()) < 0.01
    assert abs(float((words[:, 0] * words[:, 1]).mean()) - p * p) < 0.01


def test_it_follows_the_seed_and_rests_when_not_training() -> None:
    layer, x = Dropout(0.3), torch.randn(50, 7)
    torch.manual_seed(1)
    first = layer(x)
    torch.manual_seed(1)
    assert torch.equal(first, layer(x))
    assert not torch.equal(first, layer(x))
    assert torch.equal(layer.eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)


def test_its_ends_and_bounds_are_those_of_pytorch() -> None:
    assert not Dropout(1.0)(torch.ones(10)).any()
    with pytest.raises(ValueError, match="between 0 and 1"):
        Dropout(1.5)


def test_gradients_pass_where_numbers_do() -> None:
    x = torch.randn(20, 8, requires_grad=True)
    y = Dropout(0.5)(x)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad == 0, y == 0)
