"""The visible rows around an example: what a predictor can read of it without leaving foreign keys, and how each is reached.

Invariant: a row is older than the example's cut-off, or belongs to the example, and so are the rows on the way to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from relbench_harness.explain.explanation import AgeBand
from relbench_harness.graph.structure import Graph, Step
from relbench_harness.protocol.method import Examples
from relbench_harness.temporal.as_of import AsOfIndex, as_of_keys
from relbench_harness.temporal.paths import ForeignKey
from relbench_harness.temporal.routes import HERE, Leg, Route
from relbench_harness.temporal.visibility import before_instant, days_before, latest_before

Rows = NDArray[np.int64]
REACHES = 6
"""How many reaches there are: each holds all rows of those before it, the last one every row that keys lead to."""
DEPTH = 2
"""Children, and children of those, are followed from an entity."""
LATEST = 4
"""Rows of a path whose parents count as those of the latest rows: so many may be removed before others come in."""
LATEST_CHILDREN = 64
"""So many children of one parent are tried before all are: enough where a method reads the latest ones, and may lose half of them."""
_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Block:
    """Rows of one table that are first reached on one route.

    Attributes:
        rows: (m,) ascending row numbers.
        source: (m,) the row that each was reached from, in the table before the last leg; −1 for the entity's own row.
    """

    table: str
    route: Route
    rows: Rows
    source: Rows


@dataclass(frozen=True)
class Surroundings:
    """The rows around one example, each in one block.

    Attributes:
        blocks: Nearest first; the first one holds the entity's own row alone.
    """

    blocks: tuple[Block, ...]

    @cached_property
    def rows(self) -> Mapping[str, Rows]:
        """Table → (m,) ascending row numbers."""
        found: dict[str, list[Rows]] = {}
        for block in self.blocks:
            found.setdefault(block.table, []).append(block.rows)
        return {table: np.sort(np.concatenate(parts)) for table, parts in found.items()}

    def __len__(self) -> int:
        return sum(len(block.rows) for block in self.blocks)

    def block_of(self, table: str, row: int) -> Block:
        """The block that holds a row. Raises `KeyError` where none does."""
        for block in self.blocks:
            if block.table == table and row in block.rows:
                return block
        raise KeyError((table, row))

    def via(self, table: str, row: int) -> tuple[tuple[str, int], ...]:
        """The rows on the way from a row to the entity, the entity last; nothing for the entity itself."""
        block = self.block_of(table, row)
        if not block.route.legs:
            return ()
        leg = block.route.legs[-1]
        before = leg.key.child if leg.up else leg.key.parent
        source = int(block.source[np.searchsorted(block.rows, row)])
        return ((before, source), *self.via(before, source))


@dataclass(frozen=True)
class Surveyor:
    """Finds surroundings in one database.

    Attributes:
        via_siblings: As-of joins to the latest child of a sibling, such as the latest return of any line of the same product.
    """

    examples: Examples
    graph: Graph
    via_siblings: tuple[AsOfIndex, ...]

    @classmethod
    def of(cls, examples: Examples) -> Surveyor:
        database, task = examples.database, examples.task
        graph = Graph.from_database(database)
        keys = as_of_keys(database, task.entity_table, task.own_row_visible)
        return cls(examples, graph, tuple(AsOfIndex(graph, key) for key in keys if key.via_sibling))

    def around(self, position: int, reach: int) -> Surroundings:
        """The rows around the example at `position`.

        Args:
            reach: 0: rows below the entity, two keys deep, and all ancestors of what is found. 1: also what the latest row under
                the same parent, or the latest child of a sibling, was when such a row came. 2: also the latest children of the
                entity's own parents, and of those of its latest rows, with what was the latest when they came. 3: the same of
                all of these children. 4: children of all parents. 5: every row that keys lead to.
        """
        entity, cutoff = int(self.examples.entity[position]), int(self.examples.cutoff[position])
        walk = _Walk(self.graph, cutoff, self.examples.task.own_row_visible, self.via_siblings)
        own = walk.start(self.examples.task.entity_table, entity)
        below = [own]
        for _ in range(DEPTH):
            below += [b for block in below if block.route.hops == below[-1].route.hops for b in walk.children(block)]
        walk.ancestors()
        if reach >= 1:
            for block in list(below):
                walk.latest_siblings(block)
            walk.ancestors()
        if reach >= 2:
            before = len(walk.blocks)
            most = LATEST_CHILDREN if reach == 2 else None
            for parent in list(walk.blocks):
                if parent.route.hops == 1 and parent.route.legs[0].up:
                    walk.found(walk.children(parent, most))
            for block in below[1:]:
                walk.found(walk.children_of_latest(block, most))
            for block in walk.blocks[before:]:
                walk.latest_siblings(block)
            walk.ancestors()
        if reach >= 4:
            for block in list(walk.blocks):
                if block.route.legs and block.route.legs[-1].up:
                    walk.found(walk.children(block))
            walk.ancestors()
        if reach >= 5:
            walk.everything()
        return Surroundings(tuple(sorted((b for b in walk.blocks if len(b.rows)), key=lambda b: b.route.hops)))


class _Walk:
    """Rows that were reached so far."""

    def __init__(self, graph: Graph, cutoff: int, own_parents: bool, via_siblings: Sequence[AsOfIndex]) -> None:
        self.graph, self.cutoff, self.own_parents, self.via_siblings = graph, cutoff, own_parents, via_siblings
        self.visible = {name: int(graph.visible(name, np.asarray([cutoff]))[0]) for name in graph.sizes}
        self.blocks: list[Block] = []
        self._known: dict[str, Rows] = {}
        self._climbed = 0

    def start(self, table: str, entity: int) -> Block:
        return self._take(table, HERE, np.asarray([entity]), np.asarray([-1]), True)

    def found(self, blocks: Iterator[Block]) -> None:
        for _ in blocks:
            pass

    def children(self, block: Block, most: int | None = None) -> Iterator[Block]:
        """The children of a block's rows that were not reached before, of each row at most so many."""
        for step in self._steps(block.table, up=False):
            yield self._down(block, step, block.rows, most)

    def children_of_latest(self, block: Block, most: int | None = None) -> Iterator[Block]:
        """The children of the parents of the latest rows of a block, of each parent at most so many."""
        latest = block.rows[-LATEST:]
        for step in self._steps(block.table, up=True):
            named = np.unique(self.graph.parent_of(step.child, step.column)[latest]).astype(np.int64)
            for known in [one for one in self.blocks if one.table == step.target]:
                some = np.intersect1d(known.rows, named, assume_unique=True)
                for below in self._steps(step.target, up=False) if len(some) else ():
                    yield self._down(known, below, some, most)

    def ancestors(self) -> None:
        """All ancestors of what was reached."""
        while self._climbed < len(self.blocks):
            block = self.blocks[self._climbed]
            self._climbed += 1
            for step in self._steps(block.table, up=True):
                named = np.asarray(self.graph.parent_of(step.child, step.column)[block.rows], np.int64)
                there = named >= 0
                everything = self.own_parents and not block.route.legs
                self._take(step.target, self._then(block, step), named[there], block.rows[there], everything)

    def latest_siblings(self, block: Block) -> None:
        """What of each other table was the latest row under the same parent, or the latest child of a sibling, for each row."""
        times = self.graph.table_times(block.table)
        if times is None or not len(block.rows):
            return
        for index in self.via_siblings:
            if index.key.left.child == block.table:
                self._latest_child_of_sibling(block, index)
        for up in self._steps(block.table, up=True):
            named = np.asarray(self.graph.parent_of(up.child, up.column)[block.rows], np.int64)
            for down in self._steps(up.target, up=False):
                other = self.graph.table_times(down.target)
                if other is None or down.target == block.table:
                    continue
                starts, rows = self.graph.children_of(down.child, down.column)
                latest = latest_before((starts, rows), other, named, times[block.rows])
                there = latest >= 0
                route = self._then(block, up).then(_leg(down))
                self._take(down.target, route, latest[there], named[there], False)

    def _latest_child_of_sibling(self, block: Block, index: AsOfIndex) -> None:
        """What `index` finds from a block's rows, and the siblings that it names."""
        left, right = index.key.left, index.key.right
        found = index.find(block.rows).row
        found = found[found >= 0]
        sibling = np.asarray(self.graph.parent_of(right.child, right.column)[found], np.int64)
        parent = np.asarray(self.graph.parent_of(left.child, left.column)[sibling], np.int64)
        route = block.route.then(Leg(left, True)).then(Leg(left, False))
        self._take(left.child, route, sibling, parent, False)
        self._take(right.child, route.then(Leg(right, False)), found, sibling, False)

    def everything(self) -> None:
        place = 0
        while place < len(self.blocks):
            self.found(self.children(self.blocks[place]))
            self.ancestors()
            place += 1

    def _down(self, block: Block, step: Step, parents: Rows, most: int | None) -> Block:
        """The visible children of `parents`, the latest `most` of each."""
        starts, rows = self.graph.children_of(step.child, step.column)
        first, last = starts[parents].astype(np.int64), starts[parents + 1].astype(np.int64)
        if most is not None:
            seen = self.visible[step.child]
            ends = [a + before_instant(rows[a:b], seen).sum() for a, b in zip(first.tolist(), last.tolist(), strict=True)]
            last = np.asarray(ends, np.int64).reshape(len(parents))
            first = np.maximum(first, last - most)
        counts = last - first
        inner = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        found = rows[np.repeat(first, counts) + inner].astype(np.int64)
        return self._take(step.target, self._then(block, step), found, np.repeat(parents, counts), False)

    def _take(self, table: str, route: Route, rows: Rows, source: Rows, own: bool) -> Block:
        """The block of those of `rows` that are visible, or the example's `own`, and were not reached before."""
        if not own:
            seen = before_instant(rows, self.visible[table])
            rows, source = rows[seen], source[seen]
        rows, first = np.unique(rows, return_index=True)
        fresh = ~np.isin(rows, self._known.get(table, _NONE), assume_unique=True)
        block = Block(table, route, rows[fresh], source[first][fresh])
        if len(block.rows):
            self._known[table] = np.union1d(self._known.get(table, _NONE), block.rows)
            self.blocks.append(block)
        return block

    def _steps(self, table: str, up: bool) -> list[Step]:
        return [step for step in self.graph.steps if step.source == table and step.up == up]

    @staticmethod
    def _then(block: Block, step: Step) -> Route:
        return block.route.then(_leg(step))


def _leg(step: Step) -> Leg:
    return Leg(ForeignKey(step.child, step.column, step.parent), step.up)


def rows_of_age(examples: Examples, position: int, around: Surroundings, band: AgeBand) -> dict[str, Rows]:
    """Table → rows around an example whose age at its cut-off lies in `band`; the entity's own row is not among them."""
    found: dict[str, Rows] = {}
    for block in around.blocks[1:]:
        times = examples.database[block.table].times
        if times is not None:
            days = days_before(times[block.rows], int(examples.cutoff[position]))
            inside = block.rows[band.holds(days)]
            if len(inside):
                found[block.table] = np.union1d(found.get(block.table, inside[:0]), inside)
    return found
