"""An entity's own past labels and everyone's, read straight through to the answer: what is usual, however unusual it is.

Everything else that a network reads is clipped to the range of training, which the few entities with huge labels exceed;
they decide a mean absolute error. The network learns what differs from the echo.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .answers import Amount

RIDGE = 0.01


class Echo(nn.Module):
    """A linear function of mean past labels and the level on the answer's scale, which starts at ridge regression.

    Args:
        own: (n, means + 1) of training questions: means, NaN for none, and the level, which stands for those that are missing.
        labels: (n,) theirs.
    """

    def __init__(self, answer: Amount, own: NDArray[np.float64], labels: NDArray[np.float64]) -> None:
        super().__init__()
        self.middle, self.spread = answer.middle, answer.spread
        with torch.no_grad():
            read = self._scaled(torch.from_numpy(own)).numpy()
        read = np.concatenate([read, np.ones((len(read), 1))], axis=1)
        truth = np.arcsinh((labels - self.middle) / self.spread)
        weights = np.linalg.solve(read.T @ read + RIDGE * len(read) * np.eye(read.shape[1]), read.T @ truth)
        self.weight = nn.Parameter(torch.from_numpy(weights[:-1].astype(np.float32)))
        self.bias = nn.Parameter(torch.tensor(float(weights[-1])))

    def _scaled(self, own: Tensor) -> Tensor:
        """(n, means + 2): means and level, and whether there are any means."""
        known = own[:, :1].isnan().logical_not()
        usual = torch.where(own.isnan(), own[:, -1:], own)
        return torch.cat([torch.asinh((usual - self.middle) / self.spread), known.to(own.dtype)], dim=1)

    def forward(self, own: Tensor) -> Tensor:
        """(n, 1) from (n, means + 1)."""
        read: Tensor = self._scaled(own) @ self.weight
        return (read + self.bias)[:, None]
