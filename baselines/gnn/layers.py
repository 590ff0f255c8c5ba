"""Small layers that the networks share, and names of their modules."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PARTS = 256
"""On a CPU the probability of dropout is rounded to whole parts of this."""
SCALE_STEP = 10.0
"""How many times as fast as weights scales move under Adam."""


class Dropout(nn.Dropout):
    """PyTorch's dropout (Srivastava et al., 2014); on a CPU it draws eight numbers from each random word, which is faster."""

    def forward(self, x: Tensor) -> Tensor:
        dropped = round(PARTS * self.p)
        if not self.training or x.device.type != "cpu" or dropped in (0, PARTS):
            return super().forward(x)
        words = torch.empty((x.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
        kept = words.view(torch.uint8)[: x.numel()].view(x.shape) >= dropped
        return x * kept.to(x.dtype).mul_(PARTS / (PARTS - dropped))


class ScalingLayer(nn.Module):
    """Multiplies each of (…, inputs) by a learned scale, 1 at first (RealMLP, Holzmüller et al., 2024).

    Scales learn faster than weights, so that a few informative inputs soon count more than many others.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.deviation = nn.Parameter(torch.zeros(inputs))

    @property
    def scale(self) -> Tensor:
        """(inputs,)."""
        return 1 + SCALE_STEP * self.deviation

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


def zero_initialised(inputs: int, outputs: int) -> nn.Linear:
    """A linear map without bias that starts at zero.

    A branch that starts so leaves the network as it is without it until it helps (Bachlechner et al., 2021).
    """
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.zeros_(layer.weight)
    return layer


def module_name(*parts: str) -> str:
    """A name for a module of a `ModuleDict`: no dot in it, none of an attribute of `nn.Module`, different for different parts."""
    return "of " + "/".join(part.replace("%", "%25").replace("/", "%2F").replace(".", "%2E") for part in parts)
