"""Dropout that a processor draws fast: eight numbers from each random word, where PyTorch draws them one by one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PARTS = 256
"""The probability is rounded to whole parts of this."""


class Dropout(nn.Dropout):
    """PyTorch's own (Srivastava et al., 2014) but for where a processor draws."""

    def forward(self, x: Tensor) -> Tensor:
        dropped = round(PARTS * self.p)
        if not self.training or x.device.type != "cpu" or dropped in (0, PARTS):
            return super().forward(x)
        words = torch.empty((x.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
        kept = words.view(torch.uint8)[: x.numel()].view(x.shape) >= dropped
        return x * kept.to(x.dtype).mul_(PARTS / (PARTS - dropped))
