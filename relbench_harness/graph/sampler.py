"""Samples what a question may see of a graph: temporal, heterogeneous, to any depth, equal on any number of threads.

A node is a pair (row, cut-off). Within a batch every node occurs once and is expanded once, at the hop where it is first
found, so questions with the same cut-off share rows. Which neighbours a node gets depends on the seed, the step, the row
and the cut-off alone, never on the rest of the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from relbench_harness.errors import InputError, nearest
from relbench_harness.graph.kernels import SLOTS, assemble, expand
from relbench_harness.graph.neighbourhood import Edges, Neighbourhood, Nodes
from relbench_harness.graph.structure import Graph, Step

Scratch = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]
Strategy = Literal["uniform", "recent", "decayed"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
ALL = -1
"""The fan-out that takes every visible neighbour."""

Fan = int | Mapping[Step | tuple[str, str, str], int]
"""How many neighbours a row gets at one hop: for every step, or step by step (steps not named are not taken)."""


@dataclass(frozen=True)
class Sampler:
    """Samples neighbourhoods of a graph.

    Attributes:
        graph: The rows and foreign keys.
        fans: One entry per hop. A step from child to parent is taken whenever its fan-out is not 0. `ALL` takes every
            visible neighbour.
        strategy: `recent` takes the latest; `uniform` any, without replacement; `decayed` any, without replacement, with
            a weight that halves with every `half_life_days` of age.
        own_parents: Whether the parents that a question's own row names are visible to it whatever their time
            (`task.own_row_visible`).
        seed: Fixes every random choice.
        threads: How many threads share a batch; the result does not depend on it.
    """

    graph: Graph
    fans: Sequence[Fan]
    strategy: Strategy = "recent"
    own_parents: bool = False
    seed: int = 0
    threads: int = 1
    half_life_days: float = 365.0
    _plan: Mapping[str, Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise InputError(f"no sampling strategy {self.strategy!r}; {nearest(self.strategy, STRATEGIES)}")
        if self.threads < 1:
            raise InputError(f"a sampler needs at least one thread, got {self.threads}")
        if not self.half_life_days > 0:
            raise InputError(f"half_life_days must be positive, got {self.half_life_days}")
        object.__setattr__(self, "_plan", MappingProxyType(_plan(self.graph, self.fans)))

    @cached_property
    def _scratch(self) -> list[Scratch]:
        """Memory that samples in progress do not use; kept, for fresh memory is slow."""
        return []

    def _spare(self) -> Scratch:
        try:
            return self._scratch.pop()
        except IndexError:
            return _fresh(self.graph.parents.dtype)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.threads, thread_name_prefix="sampler")

    def sample(
        self, table: str, rows: NDArray[np.integer[Any]], cutoffs: NDArray[np.int64], seed: int | None = None
    ) -> Neighbourhood:
        """The neighbourhood of questions about `rows` of `table`, each of which sees rows older than its cut-off.

        Args:
            rows: (n,) entities.
            cutoffs: (n,) nanoseconds.
            seed: Another seed than the sampler's, such as one per epoch.
        """
        size = self.graph.size(table)
        if len(rows) and (rows.min() < 0 or rows.max() >= size):
            odd = int(rows.max() if rows.max() >= size else rows.min())
            raise InputError(f"a question asks about row {odd} of {table!r}, which has {size} rows")
        questions = _Questions.of(self.graph, table, rows, cutoffs)
        parts = self._expand(questions, self.seed if seed is None else seed)
        found = _Assembly(self.graph, questions, parts, len(self.fans), self._plan).run(self._map)
        self._scratch.extend(part[1] for part in parts)
        return found

    def _map(self, work: Any, items: Sequence[Any]) -> list[Any]:
        if self.threads == 1 or len(items) == 1:
            return [work(item) for item in items]
        return list(self._pool.map(work, items))

    def _expand(self, questions: _Questions, seed: int) -> list[tuple[Any, ...]]:
        plan, graph = self._plan, self.graph
        flat = (graph.parents, graph.starts, graph.children, graph.times)
        rate = np.log(2.0) / (self.half_life_days * 86_400e9) if self.strategy == "decayed" else 0.0
        drawn = None if self.strategy == "recent" else (plan["longest"] >> 6) + 1

        def work(groups: tuple[int, int]) -> tuple[Any, ...]:
            return groups, *expand(
                groups,
                questions.start,
                questions.row,
                graph.number[questions.table],
                questions.bounds,
                questions.cutoffs,
                flat,
                plan["step_first"],
                plan["step"],
                plan["table"],
                plan["fan"],
                None if drawn is None else np.zeros(drawn, np.uint64),
                rate,
                np.uint64(seed % 2**64),
                self.own_parents,
                self._spare(),
            )

        return self._map(work, questions.parts(4 * self.threads if self.threads > 1 else 1))


@dataclass(frozen=True)
class _Questions:
    """Questions grouped by cut-off."""

    table: str
    row: NDArray[Any]
    order: NDArray[np.int64]
    start: NDArray[np.int64]
    cutoffs: NDArray[np.int64]
    bounds: NDArray[np.int64]

    @classmethod
    def of(cls, graph: Graph, table: str, rows: NDArray[Any], cutoffs: NDArray[np.int64]) -> _Questions:
        distinct, group = np.unique(np.asarray(cutoffs, np.int64), return_inverse=True)
        order = np.argsort(group, kind="stable")
        start = np.searchsorted(group[order], np.arange(len(distinct) + 1)).astype(np.int64)
        bounds = np.stack([graph.visible(name, distinct) for name in graph.sizes])
        return cls(table, np.asarray(rows)[order].astype(graph.parents.dtype), order, start, distinct, bounds)

    def parts(self, wanted: int) -> list[tuple[int, int]]:
        """Runs of groups with about equally many questions."""
        ends = np.searchsorted(self.start, np.linspace(0, self.start[-1], wanted + 1)[1:], side="left")
        ends[-1] = len(self.cutoffs)
        runs = np.unique(np.concatenate([[0], np.minimum(ends, len(self.cutoffs))]))
        return [(int(a), int(b)) for a, b in pairwise(runs)]


@dataclass(frozen=True)
class _Assembly:
    """Joins what the threads found."""

    graph: Graph
    questions: _Questions
    parts: list[tuple[Any, ...]]
    hops: int
    plan: Mapping[str, Any]

    def run(self, parallel: Any) -> Neighbourhood:
        tables, steps, hops = len(self.graph.sizes), self.graph.steps, self.hops
        nodes = _joined([p[2] for p in self.parts], (0, hops + 1, tables))
        edges = _joined([p[3] for p in self.parts], (0, hops, len(steps)))
        per_hop, edge_total = nodes.sum(0), edges.sum(0)
        hop_ends = np.cumsum(per_hop, axis=0)
        hop_first = hop_ends - per_hop
        node_at = hop_first[None] + np.cumsum(nodes, axis=0) - nodes
        edge_at = np.cumsum(edges, axis=0) - edges
        table_at = _begins(hop_ends[-1])
        source_table = np.array([self.graph.number[s.source] for s in steps], np.int64)
        sources = per_hop[:-1][:, source_table]
        target_at = _begins(edge_total.ravel()).reshape(edge_total.shape)
        end_at = _begins((sources + 1).ravel()).reshape(sources.shape)
        source_at = np.zeros((3, hops + 1, max(tables, len(steps))), np.int64)
        source_at[0, 0, :tables] = table_at
        source_at[1, :hops, : len(steps)] = target_at
        source_at[2, :hops, : len(steps)] = end_at + 1 - hop_first[:-1][:, source_table]
        out_row = np.empty(int(hop_ends[-1].sum()), self.questions.row.dtype)
        out_group = np.empty(len(out_row), np.int32)
        out_end = np.zeros(int((sources + 1).sum()), np.int64)
        out_target = np.empty(int(edge_total.sum()), np.int32)
        answered = np.empty(len(self.questions.row), np.int32)

        def work(part: tuple[Any, ...]) -> None:
            groups, found, own, _, numbers = part
            position = np.empty(int(own.sum()), np.int32)
            here = slice(*groups)
            out = (out_row, out_group, out_end, out_target, position)
            assemble(groups, found, own, node_at[here], edge_at[here], source_at, self.plan["step_first"], *out)
            first, last = self.questions.start[groups[0]], self.questions.start[groups[1]]
            count = np.diff(self.questions.start[groups[0] : groups[1] + 1])
            base = np.repeat(_begins(own.sum((1, 2))), count)
            answered[self.questions.order[first:last]] = position[base + numbers]

        parallel(work, self.parts)
        found_nodes = {}
        for name, t in self.graph.number.items():
            part = slice(int(table_at[t]), int(table_at[t] + hop_ends[-1, t]))
            found_nodes[name] = Nodes(out_row[part], out_group[part], hop_ends[:, t])
        found_edges = []
        for h in range(hops):
            for s, step in enumerate(steps):
                ends = out_end[end_at[h, s] : end_at[h, s] + sources[h, s] + 1]
                target = out_target[target_at[h, s] : target_at[h, s] + edge_total[h, s]]
                found_edges.append(Edges(step, h + 1, int(hop_first[h, source_table[s]]), ends, target))
        return Neighbourhood(
            self.graph, self.questions.table, answered, self.questions.cutoffs, found_nodes, tuple(found_edges)
        )


def _fresh(ids: np.dtype[Any]) -> Scratch:
    rows, tables, targets, runs = (np.empty(SLOTS, kind) for kind in (ids, np.int16, np.int32, np.int32))
    return rows, tables, targets, runs, np.empty(SLOTS, np.int64)


def _joined(arrays: list[NDArray[Any]], empty: tuple[int, ...]) -> NDArray[Any]:
    return np.concatenate(arrays) if arrays else np.zeros(empty, np.int64)


def _begins(counts: NDArray[Any]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)[: len(counts)]


def _plan(graph: Graph, fans: Sequence[Fan]) -> dict[str, Any]:
    """The arrays that the kernel reads, for this graph and these fan-outs."""
    number, steps = graph.number, graph.steps
    source = np.array([number[s.source] for s in steps], np.int64)
    step = np.zeros((len(steps), 4), np.int64)
    for i, s in enumerate(steps):
        parent_at, start_at, child_at = graph.offsets[s.child, s.column]
        step[i] = number[s.target], s.up, parent_at if s.up else child_at, start_at
    table = np.full((len(number) + 1, 2), -1, np.int64)
    table[:, 0] = np.cumsum([0, *graph.sizes.values()])
    for name, begin in graph.time_offsets.items():
        table[number[name], 1] = begin
    longest = max((int(np.diff(graph.children_of(c, k)[0]).max(initial=0)) for c, k, _ in graph.foreign_keys), default=0)
    return {
        "step_first": np.searchsorted(source, np.arange(len(number) + 1)).astype(np.int64),
        "step": step,
        "table": table,
        "fan": np.array([_fan(steps, fan) for fan in fans], np.int64).reshape(len(fans), len(steps)),
        "longest": longest,
    }


def _fan(steps: Sequence[Step], fan: Fan) -> list[int]:
    if isinstance(fan, Mapping):
        named = {k.type if isinstance(k, Step) else k: v for k, v in fan.items()}
        known = {s.type for s in steps}
        for key in named:
            if key not in known:
                raise InputError(f"no edge type {key} in the graph; {nearest(str(key), map(str, known))}")
        values = [named.get(s.type, 0) for s in steps]
    else:
        values = [fan] * len(steps)
    if any(v < ALL for v in values):
        raise InputError(f"a fan-out is a number of neighbours, or {ALL} for all, got {min(values)}")
    return values
