"""What a network reads: the values of one batch, on one device."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from relbench_harness.graph.row_batch import EdgeBatch, RowBatch


@dataclass(frozen=True)
class ItemBatch:
    """The items that the examples of a batch are scored against.

    Attributes:
        candidates: (c,) row numbers of the items.
        rows: The candidates, which come first, and their ancestors.
        cutoff_index: (examples,) which of the batch's distinct cut-offs is each example's.
        popularity: (cut-offs, c, features) how often and how lately anyone interacted with each; see `ItemFeatures`.
        unavailable: (cut-offs, c) bool, which candidates were not there yet: they are not recommended and take no part in the loss.
        past_example, past_place: (pairs,) the example, and the index among the candidates, of each item that the example's entity
            interacted with before.
        past: (pairs, features) how often and how lately it did.
        true_example, true_place: (positives,) the example, and the index among the candidates, of each true item.
    """

    candidates: Tensor
    rows: RowBatch
    cutoff_index: Tensor
    popularity: Tensor
    unavailable: Tensor
    past_example: Tensor
    past_place: Tensor
    past: Tensor
    true_example: Tensor
    true_place: Tensor


@dataclass(frozen=True)
class Batch:
    """Some examples, the rows around them, and statistics of their history.

    Attributes:
        table: The entities' table.
        rows: The distinct rows.
        row: Table → (nodes,) index of each node's row among the distinct rows.
        age: Table → (nodes, 7) `age_features`, for tables with a time.
        parents_masked: Table → (nodes, 1) bool, whether the row is not older than the cut-off, so that its state without messages from
            ancestors is taken; tables without such a row are left out. They are the examples' own rows and, in autocomplete tasks, the
            parents that these name.
        edges: Ordered by hop, one for every step taken, those along which nothing was found as well. Those of one step are compressed
            sparse rows: source node `first + i` sampled the targets from `ends[i]` to `ends[i + 1]`.
        entity_node: (examples,) the node of each example's entity.
        summary: (examples, features) standardised statistics of the entity's history.
        labels: (examples,) float32 for regression and binary tasks, (examples, labels) float32 for multilabel, (examples,) int64 classes;
            None where unknown, and for recommendation, whose true items are in `items`.
        items: Recommendation only.
    """

    table: str
    rows: RowBatch
    row: dict[str, Tensor]
    age: dict[str, Tensor]
    parents_masked: dict[str, Tensor]
    edges: list[EdgeBatch]
    entity_node: Tensor
    summary: Tensor
    labels: Tensor | None = None
    items: ItemBatch | None = None
