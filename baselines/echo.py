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
    """A linear function of mean past labels, and of levels, on the answer's scale, which starts at ridge regression.

    Args:
        own: (n, means + 2) of training questions: means, NaN for none, the level of everyone's labels and that of newcomers'.
        labels: (n,) theirs.
        leveled: Whether levels are read.
    """

    def __init__(self, answer: Amount, own: NDArray[np.float64], labels: NDArray[np.float64], leveled: bool) -> None:
        super().__init__()
        self.middle, self.spread, self.leveled = answer.middle, answer.spread, leveled
        with torch.no_grad():
            read = self._scaled(torch.from_numpy(own)).numpy()
        read = np.concatenate([read, np.ones((len(read), 1))], axis=1)
        truth = np.arcsinh((labels - self.middle) / self.spread)
        weights = np.linalg.solve(read.T @ read + RIDGE * len(read) * np.eye(read.shape[1]), read.T @ truth)
        self.weight = nn.Parameter(torch.from_numpy(weights[:-1].astype(np.float32)))
        self.bias = nn.Parameter(torch.tensor(float(weights[-1])))

    def _scaled(self, own: Tensor) -> Tensor:
        """(n, features): the means, 0 for none; everyone's level with means, newcomers' without; whether there are means."""
        means, everyone, newcomers = own[:, :-2], own[:, -2:-1], own[:, -1:]
        known = means[:, :1].isnan().logical_not()
        read = torch.where(means.isnan(), self.middle, means)
        if self.leveled:
            levels = torch.where(known, everyone, self.middle), torch.where(known, self.middle, newcomers)
            read = torch.cat([read, *levels], dim=1)
        return torch.cat([torch.asinh((read - self.middle) / self.spread), known.to(own.dtype)], dim=1)

    def forward(self, own: Tensor) -> Tensor:
        """(n, 1) from (n, means + 2)."""
        read: Tensor = self._scaled(own) @ self.weight
        return (read + self.bias)[:, None]
