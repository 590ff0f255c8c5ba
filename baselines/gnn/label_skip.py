"""A linear path from the entity's past labels to the prediction: the autoregressive highway of LSTNet (Lai et al., 2018).

The summary is clipped to the middle 96 % of training, and a mean absolute error is decided by the few entities with huge labels beyond
it. Past labels reach the prediction through this path unclipped. The rest of the network learns what differs from it.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .objectives import Regression

RIDGE = 0.01


class LabelSkip(nn.Module):
    """A linear function of mean past labels, and of recent means of all labels, on the objective's scale.

    It starts as ridge regression.

    Args:
        own: (n, means + 2) of training examples, see `OwnLabels.means`.
        labels: (n,) theirs.
        recent_mean: Whether the recent means are read.
    """

    def __init__(
        self, objective: Regression, own: NDArray[np.float64], labels: NDArray[np.float64], recent_mean: bool
    ) -> None:
        super().__init__()
        self.median, self.spread, self.recent_mean = objective.median, objective.spread, recent_mean
        with torch.no_grad():
            read = self._scaled(torch.from_numpy(own)).numpy()
        read = np.concatenate([read, np.ones((len(read), 1))], axis=1)
        truth = np.arcsinh((labels - self.median) / self.spread)
        weights = np.linalg.solve(read.T @ read + RIDGE * len(read) * np.eye(read.shape[1]), read.T @ truth)
        self.weight = nn.Parameter(torch.from_numpy(weights[:-1].astype(np.float32)))
        self.bias = nn.Parameter(torch.tensor(float(weights[-1])))

    def _scaled(self, own: Tensor) -> Tensor:
        """(n, features), numbers on the objective's scale, in this order.

        Each mean, the median where it is missing. With recent means: that of all labels where the entity has labels, else the
        median; that of cold-start labels where it has none, else the median. Last, whether the entity has labels.
        """
        means, all_labels, cold_start = own[:, :-2], own[:, -2:-1], own[:, -1:]
        known = means[:, :1].isnan().logical_not()
        read = torch.where(means.isnan(), self.median, means)
        if self.recent_mean:
            recent = torch.where(known, all_labels, self.median), torch.where(known, self.median, cold_start)
            read = torch.cat([read, *recent], dim=1)
        return torch.cat([torch.asinh((read - self.median) / self.spread), known.to(own.dtype)], dim=1)

    def forward(self, own: Tensor) -> Tensor:
        """(n, 1) from (n, means + 2)."""
        read: Tensor = self._scaled(own) @ self.weight
        return (read + self.bias)[:, None]
