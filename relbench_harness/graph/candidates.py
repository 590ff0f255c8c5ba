"""What could be recommended, and what to tell it apart from: past items, popular items, negatives. All by a question's time.

Canonical order makes each of them a slice. What an entity met is a walk along foreign keys; the interactions of a period are
a run of rows; a random visible interaction is a random number below the count of visible rows, so drawing items in
proportion to their popularity at any time needs no table of weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.compiled import compiled
from relbench_harness.errors import InputError, nearest
from relbench_harness.graph.kernels import mix, stream
from relbench_harness.graph.structure import Graph, Step

Array = NDArray[Any]
Long = NDArray[np.int64]
Weighting = Literal["uniform", "popular"]
NONE = -1


class Met(NamedTuple):
    """Which items questions met along a walk: question i has `item[ends[i]:ends[i + 1]]`, the latest first.

    Attributes:
        meetings: How often each item was met.
        rank: How many meetings of the question came after the last with this item.
    """

    ends: Long
    item: Long
    meetings: Long
    rank: Long


def walks(graph: Graph, source: str, target: str, longest: int = 3) -> list[tuple[Step, ...]]:
    """The ways from `source` to `target` in at most `longest` steps that begin with a step to children, shortest first.

    No step undoes the one before, and none passes through `target` or back through `source`.
    """
    graph.size(source), graph.size(target)
    found: list[tuple[Step, ...]] = []
    open_walks: list[tuple[Step, ...]] = [(s,) for s in graph.steps if s.source == source and not s.up]
    for _ in range(longest):
        found += [walk for walk in open_walks if walk[-1].target == target]
        open_walks = [
            (*walk, step)
            for walk in open_walks
            if walk[-1].target not in (target, source)
            for step in graph.steps
            if step.source == walk[-1].target and not _undoes(step, walk[-1])
        ]
    return found


def _undoes(step: Step, last: Step) -> bool:
    return (step.child, step.column) == (last.child, last.column) and step.up != last.up


def met(graph: Graph, walk: tuple[Step, ...], rows: Array, cutoffs: Long, most: int = 256) -> Met:
    """The items that each question about `rows` met along `walk` before its cut-off.

    Args:
        most: Latest children taken at each step to children.
    """
    owner, at = np.arange(len(rows)), np.asarray(rows, np.int64)
    for step in walk:
        bound = graph.visible(step.target, cutoffs)
        if step.up:
            named = graph.parent_of(step.child, step.column)[at].astype(np.int64)
            seen = (named >= 0) & (named < bound[owner])
            owner, at = owner[seen], named[seen]
            continue
        starts, children = graph.children_of(step.child, step.column)
        counts, last = _visible_children(starts, children, at, bound[owner], most)
        place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        at = children[np.repeat(last, counts) - 1 - place].astype(np.int64)
        owner = np.repeat(owner, counts)
    return _tally(owner, at, len(rows), graph.size(walk[-1].target))


@compiled
def _visible_children(starts: Array, children: Array, at: Long, bound: Long, most: int) -> tuple[Long, Long]:
    """How many children each row shows, at most `most`, and where its visible ones end."""
    counts, last = np.empty(len(at), np.int64), np.empty(len(at), np.int64)
    for i in range(len(at)):
        low, high = int(starts[at[i]]), int(starts[at[i] + 1])
        first = low
        while low < high:
            middle = (low + high) >> 1
            if children[middle] < bound[i]:
                low = middle + 1
            else:
                high = middle
        counts[i] = min(low - first, most)
        last[i] = low
    return counts, last


def _tally(owner: Long, item: Long, questions: int, items: int) -> Met:
    """Distinct (owner, item) pairs in order of first occurrence, each owner's meetings being listed latest first."""
    _, first, count = np.unique(owner * items + item, return_index=True, return_counts=True)
    order = np.argsort(first, kind="stable")
    first, count = first[order], count[order]
    begins = np.searchsorted(owner, np.arange(questions))
    ends = np.searchsorted(owner[first], np.arange(questions + 1))
    return Met(ends.astype(np.int64), item[first], count, first - begins[owner[first]])


def popular(graph: Graph, step: Step, cutoff: int, days: float | None, most: int) -> tuple[Long, Long]:
    """The items that most rows of `step.child` named before `cutoff`, and how many did; ties to the smaller row number.

    Args:
        step: From interactions up to items.
        days: Only interactions of the last so many days; None for all.
    """
    at = np.array([cutoff if days is None else cutoff - int(days * 86_400e9), cutoff])
    first, last = graph.visible(step.child, at)
    named = graph.parent_of(step.child, step.column)[0 if days is None else first : last]
    visible = int(graph.visible(step.target, at[1:])[0])
    counts = np.bincount(named[(named >= 0) & (named < visible)], minlength=visible)
    order = np.argsort(-counts, kind="stable")[:most]
    order = order[counts[order] > 0]
    return order.astype(np.int64), counts[order].astype(np.int64)


@dataclass(frozen=True)
class Negatives:
    """Draws items that a question did not name.

    Attributes:
        step: From interactions up to items.
        weighting: `uniform` over the visible items, or `popular`: in proportion to the visible interactions.
        seed: With the entity and the cut-off, fixes every draw.
    """

    graph: Graph
    step: Step
    weighting: Weighting = "uniform"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.weighting not in get_args(Weighting):
            raise InputError(
                f"no weighting {self.weighting!r} of negatives; {nearest(self.weighting, get_args(Weighting))}"
            )
        if not self.step.up:
            raise InputError(f"negatives need a step from interactions up to items, got {self.step}")

    def draw(
        self, entity: Array, cutoff: Long, positive_ends: Long, positives: Array, count: int, seed: int | None = None
    ) -> Long:
        """(questions, count) visible items that are not positive; −1 where a question has none.

        Args:
            positive_ends, positives: Question i named `positives[positive_ends[i]:positive_ends[i + 1]]`.
        """
        named = self.graph.parent_of(self.step.child, self.step.column)
        return _negatives(
            np.uint64((self.seed if seed is None else seed) % 2**64),
            np.asarray(entity, np.int64),
            np.asarray(cutoff, np.int64),
            self.graph.visible(self.step.target, cutoff),
            self.graph.visible(self.step.child, cutoff) if self.weighting == "popular" else np.zeros(len(cutoff), np.int64),
            named,
            np.asarray(positive_ends, np.int64),
            np.asarray(positives, np.int64),
            count,
        )


_TRIES = 32


@compiled
def _negatives(
    seed: np.uint64,
    entity: Long,
    cutoff: Long,
    items: Long,
    interactions: Long,
    named: Array,
    ends: Long,
    positives: Long,
    count: int,
) -> Long:
    out = np.full((len(entity), count), NONE, np.int64)
    golden, shift, unit = np.uint64(0x9E3779B97F4A7C15), np.uint64(11), 2.0**-53
    for i in range(len(entity)):
        known = np.unique(positives[ends[i] : ends[i + 1]])
        known = known[known < items[i]]
        if items[i] <= len(known):
            continue
        key = stream(seed, cutoff[i], np.int64(-1), entity[i])
        for j in range(count):
            found = np.int64(NONE)
            for _ in range(_TRIES if interactions[i] > 0 else 0):
                key += golden
                drawn = named[np.int64(np.float64(mix(key) >> shift) * unit * interactions[i])]
                if drawn >= 0 and drawn < items[i]:
                    at = np.searchsorted(known, drawn)
                    if at == len(known) or known[at] != drawn:
                        found = np.int64(drawn)
                        break
            if found == NONE:
                # the n-th visible item that is not positive
                key += golden
                found = np.int64(np.float64(mix(key) >> shift) * unit * (items[i] - len(known)))
                for item in known:
                    if item <= found:
                        found += 1
            out[i, j] = found
    return out
