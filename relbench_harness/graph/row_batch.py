"""The tensors of a sampled neighbourhood: distinct rows with their ancestors, and edges.

A node is a pair (row, cut-off); a row is read once, however many nodes it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relbench_harness.graph.structure import Step

Rows = NDArray[np.int64]
Key = tuple[str, str]
"""(child table, column) of a foreign key, or the name of an as-of key."""


class Link(NamedTuple):
    """Pairs of a row and its parent.

    Attributes:
        child, parent: (pairs,) places among the distinct rows of both tables; children ascend.
        pairs_per_depth: How many of the pairs, the first ones, are of rows at most 0, 1, … keys away from a sampled row.
    """

    child: Tensor
    parent: Tensor
    pairs_per_depth: tuple[int, ...]

    @classmethod
    def of(cls, place: Rows, rows_per_depth: Sequence[int]) -> Link:
        """From each row's parent, −1 for none, and how many of the rows are at most 0, 1, … keys away."""
        child = np.flatnonzero(place >= 0)
        ends = tuple(int(end) for end in np.searchsorted(child, rows_per_depth))
        return cls(torch.from_numpy(child), torch.from_numpy(place[child]), ends)


class LayerLink(NamedTuple):
    """A link as one layer uses it.

    Attributes:
        pairs: How many of its pairs, the first ones.
        updated: Whether the parents are read as the layer before left them; else as they are by themselves.
    """

    key: Key
    pairs: int
    updated: bool


class AncestorLayer(NamedTuple):
    """One round of messages from parents to rows.

    Attributes:
        rows: Table → how many of its rows, the first ones, get messages.
        links: Table → the links along which its rows get them.
    """

    rows: Mapping[str, int]
    links: Mapping[str, tuple[LayerLink, ...]]


@dataclass(frozen=True)
class RowBatch:
    """Distinct rows, sampled ones first, then their ancestors.

    Attributes:
        records: Table → (rows, words) packed attributes.
        links: Foreign or as-of key → which rows have which parent.
        link_features: Key → (pairs, features): residuals of the row's numbers against its parent's; for an as-of key how
            much older is what it finds.
        leaves: Messages from rows that have no parents themselves; the same at every depth.
        layers: Messages from the other rows, the deepest first.
    """

    records: dict[str, Tensor]
    links: dict[Key, Link]
    link_features: dict[Key, Tensor]
    leaves: AncestorLayer
    layers: list[AncestorLayer]


@dataclass(frozen=True)
class EdgeBatch:
    """Edges of one hop along one step: source node `first + i` has the neighbours `target[ends[i]:ends[i + 1]]`."""

    step: Step
    hop: int
    first: int
    ends: Tensor
    target: Tensor
