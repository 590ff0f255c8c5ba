"""Every algebraic short cut equals its plain form, in value and in gradient."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from relbench_harness.baselines.gnn.shortcuts import Affine, applied_to_chosen, as_counts, composed
from torch import nn


def test_two_linear_maps_are_one() -> None:
    torch.manual_seed(0)
    inner, outer, x = nn.Linear(5, 4), nn.Linear(4, 3, bias=False), torch.randn(7, 5)
    weight, bias = composed(outer, inner)
    assert bias is not None
    short, plain = x @ weight.T + bias, outer(inner(x))
    torch.testing.assert_close(short, plain)
    torch.testing.assert_close(
        torch.autograd.grad(short.sin().sum(), list(inner.parameters())),
        torch.autograd.grad(plain.sin().sum(), list(inner.parameters())),
    )


@pytest.mark.parametrize("chosen", [[0], [3, 1], [2, 2, 0, 1, 3, 3, 1]])
@pytest.mark.parametrize("with_bias", [True, False])
def test_chosen_rows_are_mapped_before_or_after_they_are_chosen(chosen: list[int], with_bias: bool) -> None:
    torch.manual_seed(0)
    rows, weight, bias = torch.randn(4, 5), torch.randn(3, 5), torch.randn(3) if with_bias else None
    plain = rows[torch.tensor(chosen)] @ weight.T + (0 if bias is None else bias)
    torch.testing.assert_close(applied_to_chosen(rows, torch.tensor(chosen), Affine(weight, bias)), plain)


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 5), min_size=3, max_size=3), min_size=1, max_size=6))
def test_counts_times_embeddings_are_sums_of_embeddings(codes: list[list[int]]) -> None:
    torch.manual_seed(0)
    bag = nn.EmbeddingBag(6, 4, mode="sum")
    found = torch.tensor(codes, dtype=torch.int32)
    torch.testing.assert_close(as_counts(found, 6) @ bag.weight, bag(found))
