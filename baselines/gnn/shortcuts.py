"""Algebraic short cuts: each computes what its plain form does, but for rounding, with fewer operations."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


class Affine(NamedTuple):
    """x ↦ weight · x + bias."""

    weight: Tensor
    bias: Tensor | None


def composed(outer: nn.Linear, inner: nn.Linear) -> Affine:
    """`outer(inner(x))` as one affine map; `outer` has no bias."""
    return Affine(outer.weight @ inner.weight, outer.weight @ inner.bias)


def applied_to_chosen(rows: Tensor, chosen: Tensor, affine: Affine) -> Tensor:
    """(chosen, outputs) the map of `rows[chosen]`: of the rows or of the chosen ones, whichever are fewer."""
    if len(chosen) < len(rows):
        return functional.linear(rows.index_select(0, chosen), affine.weight, affine.bias)
    return functional.linear(rows, affine.weight, affine.bias).index_select(0, chosen)


def as_counts(codes: Tensor, size: int) -> Tensor:
    """(n, size) how often each code occurs in a row of `codes`; times a table of embeddings, the sum of those of the codes."""
    counts = torch.zeros(len(codes), size, device=codes.device)
    return counts.scatter_add_(1, codes.long(), counts.new_ones(()).expand(codes.shape))
