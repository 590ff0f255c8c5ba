"""What a sampler must return, found slowly: every visibility test against times, every choice from a full sort."""

from __future__ import annotations

import math
from collections.abc import Sequence

from relbench_harness.data.database import Database
from relbench_harness.graph.structure import Graph, Step

MASK = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15
DAY = 86_400e9

Node = tuple[str, int, int]
"""(table, row, cut-off)"""


def mix(x: int) -> int:
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def stream(seed: int, cutoff: int, step: int, row: int) -> int:
    key = seed & MASK
    for part in (cutoff, step, row):
        key = mix((key + GOLDEN + part) & MASK)
    return key


def floyd(count: int, k: int, key: int) -> list[int]:
    chosen: set[int] = set()
    for j in range(count - k, count):
        key = (key + GOLDEN) & MASK
        drawn = int((mix(key) >> 11) * 2.0**-53 * (j + 1))
        chosen.add(j if drawn in chosen else drawn)
    return sorted(chosen)


def gumbel_top(ages: Sequence[float], k: int, key: int) -> list[int]:
    def noisy(at: int) -> float:
        draw = mix((key + GOLDEN * (at + 1)) & MASK)
        return -ages[at] - math.log(-math.log(((draw >> 11) + 0.5) * 2.0**-53))

    return sorted(sorted(range(len(ages)), key=noisy)[-k:])


class Oracle:
    def __init__(self, database: Database, strategy: str, own_parents: bool, seed: int, half_life: float) -> None:
        self.database, self.strategy, self.own_parents, self.seed = database, strategy, own_parents, seed
        self.rate = math.log(2) / (half_life * DAY)
        self.steps = Graph.from_database(database).steps

    def sees(self, table: str, row: int, cutoff: int) -> bool:
        times = self.database[table].times
        return times is None or int(times[row]) < cutoff

    def neighbours(self, step: Step, node: Node, most: int, own: bool) -> list[Node]:
        _, row, cutoff = node
        if most == 0:
            return []
        if step.up:
            parent = int(self.database[step.child].parents(step.column)[row])
            seen = parent >= 0 and (own or self.sees(step.target, parent, cutoff))
            return [(step.target, parent, cutoff)] if seen else []
        named = self.database[step.child].parents(step.column)
        seen_rows = [r for r in range(len(named)) if named[r] == row and self.sees(step.target, r, cutoff)]
        return [(step.target, r, cutoff) for r in self.choose(step, row, cutoff, seen_rows, most)]

    def choose(self, step: Step, row: int, cutoff: int, rows: list[int], most: int) -> list[int]:
        if most < 0 or len(rows) <= most:
            return rows
        if self.strategy == "recent":
            return rows[-most:]
        key = stream(self.seed, cutoff, self.steps.index(step), row)
        if self.strategy == "uniform":
            return [rows[i] for i in floyd(len(rows), most, key)]
        times = self.database[step.target].times
        ages = [0.0 if times is None else float(cutoff - int(times[r])) * self.rate for r in rows]
        return [rows[i] for i in gumbel_top(ages, most, key)]

    def sample(
        self, examples: list[Node], num_neighbors: list[dict[Step, int]]
    ) -> tuple[list[set[Node]], list[dict[tuple[Step, Node], list[Node]]]]:
        """Nodes found at each hop, and per hop the neighbours of each source."""
        layers, links = [set(examples)], []
        found = set(examples)
        for hop, most in enumerate(num_neighbors):
            link = {}
            for node in layers[-1]:
                for step in self.steps:
                    if step.source == node[0]:
                        link[step, node] = self.neighbours(step, node, most[step], self.own_parents and hop == 0)
            layers.append({n for targets in link.values() for n in targets} - found)
            found |= layers[-1]
            links.append(link)
        return layers, links
