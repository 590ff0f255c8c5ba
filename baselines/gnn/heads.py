"""From an example's state to a prediction: every head owns its loss and how its outputs are decoded."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .batch import Batch
from .objectives import Objective


class Head(Protocol):
    """A module from (examples, channels) states to outputs.

    `loss` compares outputs with the labels of a batch, `decode` turns outputs into predictions, and `empty` is the array of
    predictions for no example.
    """

    def __call__(self, state: Tensor, batch: Batch) -> Tensor: ...
    def loss(self, output: Tensor, batch: Batch) -> Tensor: ...
    def decode(self, output: Tensor) -> NDArray[np.generic]: ...
    def empty(self) -> NDArray[np.generic]: ...


class ValueHead(nn.Module):
    """Regression, binary, multiclass and multilabel tasks, by their `Objective`."""

    def __init__(self, objective: Objective, channels: int) -> None:
        super().__init__()
        self.objective, self.channels = objective, channels
        last = nn.Linear(channels, len(objective.start))
        self.out = nn.Sequential(nn.LayerNorm(channels), nn.ReLU(), last)
        nn.init.zeros_(last.weight)
        with torch.no_grad():
            last.bias.copy_(torch.from_numpy(objective.start))

    def forward(self, state: Tensor, batch: Batch) -> Tensor:
        """(examples, outputs)."""
        output: Tensor = self.out(state)
        return output

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        if batch.labels is None:
            raise ValueError("a network learns from examples with labels")
        return self.objective.loss(output, batch.labels)

    def decode(self, output: Tensor) -> NDArray[np.float64]:
        return self.objective.decode(output.double().numpy())

    def empty(self) -> NDArray[np.float64]:
        return self.objective.decode(np.zeros((0, len(self.objective.start))))
