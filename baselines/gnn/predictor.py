"""The network: encoder → temporal encoder → backbone → head.

Between backbone and head, `SummaryFusion` adds an encoding of the statistics of the entity's history.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from .batch import Batch
from .heads import Head
from .layers import Dropout
from .row_encoder import RowEncoder
from .temporal_encoder import TemporalEncoder


class Backbone(Protocol):
    """A module from table → (nodes, channels) states to (examples, channels)."""

    def __call__(self, batch: Batch, states: dict[str, Tensor]) -> Tensor: ...


class SummaryFusion(nn.Module):
    """Adds an encoding of the entity's summary to the backbone's state, then a layer with a skip connection over both.

    Args:
        encoding: From (n, columns) statistics to (n, width); None leaves the summary out.
        width: Of the encoding.
    """

    def __init__(self, encoding: nn.Module | None, width: int, channels: int, dropout: float) -> None:
        super().__init__()
        self.summary_encoder = None
        if encoding is not None:
            self.summary_encoder = nn.Sequential(encoding, Dropout(dropout), nn.Linear(width, channels))
        self.mix = nn.Sequential(nn.LayerNorm(channels), nn.ReLU(), Dropout(dropout), nn.Linear(channels, channels))

    def forward(self, state: Tensor, summary: Tensor) -> Tensor:
        """(examples, channels)."""
        if self.summary_encoder is not None:
            state = state + self.summary_encoder(summary)
        mixed: Tensor = self.mix(state)
        return state + mixed


class RelationalPredictor(nn.Module):
    """The whole network: each part is a module of its own, and any backbone goes with any head."""

    def __init__(
        self, encoder: RowEncoder, temporal_encoder: TemporalEncoder, backbone: Backbone, fusion: SummaryFusion, head: Head
    ) -> None:
        super().__init__()
        self.encoder, self.temporal_encoder = encoder, temporal_encoder
        self.backbone, self.fusion = backbone, fusion
        self.head = head

    def embed(self, batch: Batch) -> Tensor:
        """(examples, channels) the state of each example before the head."""
        rows = self.encoder(batch.rows)
        nodes = self.temporal_encoder(batch, rows)
        state: Tensor = self.fusion(self.backbone(batch, nodes), batch.summary)
        return state

    def forward(self, batch: Batch) -> Tensor:
        """The head's outputs."""
        return self.head(self.embed(batch), batch)
