"""Numbers by where they lie among the quantiles of training: what trees see in a number, as a network can read it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class Bins(nn.Module):
    """Piecewise-linear encoding (Gorishniy et al., 2022): how much of each bin lies below the number, −½ to ½.

    Bins without width, and with them columns that never vary, are left out. What lies outside of training is read as its edge.

    Args:
        edges: (bins + 1, columns), ascending.
    """

    def __init__(self, edges: NDArray[np.float64]) -> None:
        super().__init__()
        low, size = edges[:-1].T, np.diff(edges, axis=0).T
        kept = np.flatnonzero(size.ravel() > 1e-6)
        self.column: Tensor
        self.low: Tensor
        self.size: Tensor
        self.register_buffer("column", torch.from_numpy(kept // len(edges[:-1])), persistent=False)
        self.register_buffer("low", torch.from_numpy(low.ravel()[kept].astype(np.float32)), persistent=False)
        self.register_buffer("size", torch.from_numpy(size.ravel()[kept].astype(np.float32)), persistent=False)
        self.width = len(kept)

    def forward(self, numbers: Tensor) -> Tensor:
        """(n, width) from (n, columns)."""
        return ((numbers.index_select(1, self.column) - self.low) / self.size).clamp(0.0, 1.0) - 0.5
