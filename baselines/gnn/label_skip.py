"""A path from the entity's past labels to the head's output, linear on the objective's scale: LSTNet's autoregressive highway
(Lai et al., 2018).

The summary is clipped to the middle 96 % of training, and a mean absolute error is decided by the few entities with huge labels beyond
it. What this path reads is not clipped. The rest of the network learns what differs from it.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .objectives import Regression

RIDGE = 0.01


class LabelSkip(nn.Module):
    """A linear function of mean past labels on the objective's scale. It starts as ridge regression.

    Args:
        own: (n, means) of training examples, see `OwnLabels.means`.
        labels: (n,) theirs.
    """

    def __init__(self, objective: Regression, own: NDArray[np.float64], labels: NDArray[np.float64]) -> None:
        super().__init__()
        self.median, self.spread = objective.median, objective.spread
        with torch.no_grad():
            read = self._scaled(torch.from_numpy(own)).numpy()
        read = np.concatenate([read, np.ones((len(read), 1))], axis=1)
        truth = np.arcsinh((labels - self.median) / self.spread)
        weights = np.linalg.solve(read.T @ read + RIDGE * len(read) * np.eye(read.shape[1]), read.T @ truth)
        self.weight = nn.Parameter(torch.from_numpy(weights[:-1].astype(np.float32)))
        self.bias = nn.Parameter(torch.tensor(float(weights[-1])))

    def _scaled(self, own: Tensor) -> Tensor:
        """(n, means + 1) each mean on the objective's scale, the median where it is missing; whether there are labels."""
        known = own[:, :1].isnan().logical_not()
        read = torch.where(own.isnan(), self.median, own)
        return torch.cat([torch.asinh((read - self.median) / self.spread), known.to(own.dtype)], dim=1)

    def forward(self, own: Tensor) -> Tensor:
        """(n, 1) from (n, means)."""
        read: Tensor = self._scaled(own) @ self.weight
        return (read + self.bias)[:, None]
