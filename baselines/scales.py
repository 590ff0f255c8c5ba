"""How loud each input of a network is: one number apiece that learns faster than weights do, so that the few inputs that tell
something are soon heard among the many that do not (the scaling layer of RealMLP, Holzmüller et al., 2024).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

FASTER = 10.0
"""An optimiser whose steps do not depend on the size of gradients moves a scale this many times as far as a weight."""


class Scales(nn.Module):
    """Multiplies each of (…, inputs) by a scale of its own, 1 at first."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(inputs))

    @property
    def values(self) -> Tensor:
        """(inputs,)."""
        return 1 + FASTER * self.shift

    def forward(self, x: Tensor) -> Tensor:
        return x * self.values
