"""An entity's own past labels, read straight through to the answer: what is usual for it, however unusual it is.

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
    """A linear function of mean past labels on the answer's scale, which starts at ridge regression.

    Args:
        own: (n, means) of training questions, NaN for none.
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
        """(n, means + 1): the means, 0 for none, and whether there are any."""
        known = own.isnan().logical_not()
        scaled = torch.asinh((own.nan_to_num(0.0) - self.middle) / self.spread)
        return torch.cat([torch.where(known, scaled, 0.0), known[:, :1].to(own.dtype)], dim=1)

    def forward(self, own: Tensor) -> Tensor:
        """(n, 1) from (n, means)."""
        read: Tensor = self._scaled(own) @ self.weight
        return (read + self.bias)[:, None]
