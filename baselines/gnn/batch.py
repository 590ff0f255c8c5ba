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
        cutoff: (examples,) which of the batch's distinct cut-offs is each example's.
        popularity: (cut-offs, c, features).
        hidden: (cut-offs, c) which candidates were not there yet: they are no answer and take no part in the loss.
        past_example, past_place: (pairs,) items of past interactions, as places among the candidates.
        past: (pairs, features) how often and how lately.
        true_example, true_place: (positives,).
    """

    candidates: Tensor
    rows: RowBatch
    cutoff: Tensor
    popularity: Tensor
    hidden: Tensor
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
        row: Table → (nodes,) each node's place among the distinct rows.
        age: Table → (nodes, AGES), for tables with a time.
        parents_hidden: Table → (nodes, 1) whether the row is no older than the cut-off, so that its parents may be hidden;
            absent where no row is. Such rows are the examples' own and, in autocomplete tasks, the parents that they name.
        edges: Ordered by hop, one for every step taken, those along which nothing was found as well.
        seeds: (examples,) each entity's node.
        summary: (examples, features) standardised statistics of the entity's history.
        own_labels: (examples, means + 2) means of the entity's past labels and recent means of all labels; regression only.
        labels: (examples, …), None where unknown.
        items: Recommendation only.
    """

    table: str
    rows: RowBatch
    row: dict[str, Tensor]
    age: dict[str, Tensor]
    parents_hidden: dict[str, Tensor]
    edges: list[EdgeBatch]
    seeds: Tensor
    summary: Tensor
    own_labels: Tensor
    labels: Tensor | None = None
    items: ItemBatch | None = None
