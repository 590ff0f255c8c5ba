"""How the rows of a batch of one example are reached from its entity: by the fewest keys, over sampled edges, parents and as-of links."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from relbench_harness.graph.row_batch import Key
from relbench_harness.temporal.as_of import AsOfKey
from relbench_harness.temporal.paths import ForeignKey
from relbench_harness.temporal.routes import HERE, Leg, Route

from .batch import Batch

Place = tuple[str, int]
"""A table, and the place of one of its rows among those of the batch."""


def batch_routes(batch: Batch, as_of: Sequence[AsOfKey], parents: Mapping[Key, str]) -> dict[str, list[Route]]:
    """Table → (rows,) the route of each row.

    Args:
        parents: Foreign key → the parent's table.
    """
    onward: dict[Place, list[tuple[Place, tuple[Leg, ...]]]] = {}
    for source, target, legs in _ways(batch, as_of, parents):
        onward.setdefault(source, []).append((target, legs))
    start = batch.table, int(batch.row[batch.table][batch.entity_node[0]])
    found, waiting = {start: HERE}, deque([start])
    while waiting:
        place = waiting.popleft()
        for target, legs in onward.get(place, ()):
            if target not in found:
                found[target] = found[place].then(*legs)
                waiting.append(target)
    return {table: [found.get((table, i), HERE) for i in range(len(rows))] for table, rows in batch.rows.records.items()}


def _ways(
    batch: Batch, as_of: Sequence[AsOfKey], parents: Mapping[Key, str]
) -> Iterator[tuple[Place, Place, tuple[Leg, ...]]]:
    for edge in batch.edges:
        step = edge.step
        leg = Leg(ForeignKey(step.child, step.column, step.parent), step.up)
        ends = edge.ends.tolist()
        for i in range(len(ends) - 1):
            for node in edge.target[ends[i] : ends[i + 1]].tolist():
                source = step.source, int(batch.row[step.source][edge.first + i])
                yield source, (step.target, int(batch.row[step.target][node])), (leg,)
    named = {key.name: key for key in as_of}
    legs: tuple[Leg, ...]
    for name, link in batch.rows.links.items():
        if name in named:
            key = named[name]
            table, legs = key.right.child, (Leg(key.left, True), Leg(key.right, False))
        else:
            table = parents[name]
            legs = (Leg(ForeignKey(name[0], name[1], table), True),)
        for child, parent in zip(link.child.tolist(), link.parent.tolist(), strict=True):
            yield (name[0], child), (table, parent), legs
