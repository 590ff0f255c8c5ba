"""Dropout that a processor draws fast: eight numbers from each random word, where PyTorch draws them one by one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PARTS = 256
"""The probability is rounded to whole parts of this."""


class Dropout(nn.Module):
    """Zeroes each number with probability `p` while training, and scales the others so that the mean stays (Srivastava et al., 2014)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.dropped = round(PARTS * p)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.dropped == 0:
            return x
        share = self.dropped / PARTS
        if x.is_cuda:
            return nn.functional.dropout(x, share)
        words = torch.empty((x.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
        kept = words.view(torch.uint8)[: x.numel()].view(x.shape) >= self.dropped
        return x * kept.to(x.dtype).mul_(1 / (1 - share))
