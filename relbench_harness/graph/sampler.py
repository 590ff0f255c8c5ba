"""Samples what an example may see of a graph: temporal, heterogeneous, to any depth, equal on any number of threads.

A node is a pair (row, cut-off). Within a batch every node occurs once and is expanded once, at the hop where it is first
found, so examples with the same cut-off share rows. Which neighbours a node gets depends on the seed, the step, the row
and the cut-off alone, never on the rest of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from relbench_harness.errors import InputError, nearest
from relbench_harness.graph.assembly import Assembly
from relbench_harness.graph.expansion import Expansion, expand
from relbench_harness.graph.neighbourhood import Neighbourhood
from relbench_harness.graph.plan import ALL, ExampleGroups, Fanout, GroupSpan, Plan
from relbench_harness.graph.scratch import Scratch
from relbench_harness.graph.structure import Graph

__all__ = ["ALL", "STRATEGIES", "Fanout", "Sampler", "Strategy"]

Strategy = Literal["uniform", "recent", "decayed"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
DAY = 86_400e9
S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True)
class Sampler:
    """Samples neighbourhoods of a graph.

    Attributes:
        graph: The rows and foreign keys.
        num_neighbors: One fan-out per hop. A step from child to parent is taken whenever its fan-out is not 0. `ALL` takes
            every visible neighbour.
        strategy: `recent` takes the latest; `uniform` any, without replacement; `decayed` any, without replacement, with
            a weight that halves with every `half_life_days` of age.
        own_parents: Whether the parents that an example's own row names are visible to it whatever their time
            (`task.own_row_visible`).
        seed: Fixes every random choice.
        threads: How many threads share a batch; the result does not depend on it.

    Raises:
        InputError: A setting is out of range, or a fan-out names an edge type that the graph lacks.
    """

    graph: Graph
    num_neighbors: Sequence[Fanout]
    strategy: Strategy = "recent"
    own_parents: bool = False
    seed: int = 0
    threads: int = 1
    half_life_days: float = 365.0
    _plan: Plan = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise InputError(f"no sampling strategy {self.strategy!r}; {nearest(self.strategy, STRATEGIES)}")
        if self.threads < 1:
            raise InputError(f"a sampler needs at least one thread, got {self.threads}")
        if not self.half_life_days > 0:
            raise InputError(f"half_life_days must be positive, got {self.half_life_days}")
        decay = float(np.log(2.0) / (self.half_life_days * DAY)) if self.strategy == "decayed" else 0.0
        object.__setattr__(self, "_plan", Plan.of(self.graph, self.num_neighbors, self.own_parents, decay))

    def sample(
        self, table: str, rows: NDArray[np.integer[Any]], cutoffs: NDArray[np.int64], seed: int | None = None
    ) -> Neighbourhood:
        """The neighbourhood of examples about `rows` of `table`, each of which sees rows older than its cut-off.

        Args:
            rows: (n,) entities.
            cutoffs: (n,) nanoseconds.
            seed: Another seed than the sampler's, such as one per epoch.

        Raises:
            InputError: The graph has no such table, or the table no such row.
        """
        size = self.graph.size(table)
        if len(rows) and (rows.min() < 0 or rows.max() >= size):
            odd = int(rows.max() if rows.max() >= size else rows.min())
            raise InputError(f"an example is about row {odd} of {table!r}, which has {size} rows")
        examples = ExampleGroups.of(self.graph, table, rows, cutoffs)
        parts = self._expand(examples, np.uint64((self.seed if seed is None else seed) % 2**64))
        assembly = Assembly.of(self.graph, self._plan, examples, parts)
        self._map(assembly.place, parts)
        self._scratch.extend(part.scratch for part in parts)
        return assembly.neighbourhood(self.graph, table)

    def _expand(self, examples: ExampleGroups, seed: np.uint64) -> list[Expansion]:
        words = (self._plan.longest >> 6) + 1

        def work(groups: GroupSpan) -> Expansion:
            bits = None if self.strategy == "recent" else np.zeros(words, np.uint64)
            return expand(self._plan, examples, groups, seed, bits, self._spare())

        return self._map(work, examples.spans(4 * self.threads if self.threads > 1 else 1))

    def _map(self, work: Callable[[S], T], items: Sequence[S]) -> list[T]:
        if self.threads == 1 or len(items) == 1:
            return [work(item) for item in items]
        return list(self._pool.map(work, items))

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.threads, thread_name_prefix="sampler")

    @cached_property
    def _scratch(self) -> list[Scratch]:
        """Memory that samples in progress do not use; kept, for fresh memory is slow."""
        return []

    def _spare(self) -> Scratch:
        try:
            return self._scratch.pop()
        except IndexError:
            return Scratch.fresh(self.graph.parents.dtype)
