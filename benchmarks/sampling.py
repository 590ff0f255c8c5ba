"""How many nodes per second the sampler finds, beside a NumPy reference that samples the same table in the same run.

The table: 5 M transactions of 100 k customers and 10 k products, at random times. The examples: customers at random
times; three hops of at most 64, 64 and 32 neighbours. A node is a (row, example) pair; every example has its own
cut-off, so none is shared.

    python benchmarks/sampling.py --threads 2

prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.graph.sampler import Sampler, Strategy
from relbench_harness.graph.structure import Graph

YEAR = 365 * 86_400 * 10**9


def shop(transactions: int, customers: int, products: int, seed: int = 0) -> Database:
    """Customers, products and transactions between them, each uniformly at random."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, YEAR, transactions))
    columns = {
        "id": pa.array(np.arange(transactions)),
        "customer": pa.array(rng.integers(0, customers, transactions)),
        "product": pa.array(rng.integers(0, products, transactions)),
        "time": pa.array(times).cast(pa.timestamp("ns")),
        "amount": pa.array(rng.lognormal(size=transactions)),
        "quantity": pa.array(rng.integers(1, 10, transactions)),
        "channel": pa.array(rng.integers(0, 4, transactions)),
    }
    return Database(
        [
            Table("customers", pa.table({"id": pa.array(np.arange(customers))}), key="id"),
            Table("products", pa.table({"id": pa.array(np.arange(products))}), key="id"),
            Table(
                "transactions",
                pa.table(columns),
                key="id",
                time="time",
                references={"customer": "customers", "product": "products"},
            ),
        ]
    )


def reference(
    graph: Graph, num_neighbors: list[int], rows: NDArray[np.int64], cutoffs: NDArray[np.int64], seed: int
) -> int:
    """Nodes found by the same uniform sampling, without replacement, in whole-array NumPy; duplicates merged by sorting."""
    rng = np.random.default_rng(seed)
    frontier = {"customers": (rows, np.arange(len(rows)))}
    seen = {name: np.empty(0, np.int64) for name in graph.sizes}
    seen["customers"] = np.sort(np.arange(len(rows)) * graph.sizes["customers"] + rows)
    bounds = {name: graph.visible(name, cutoffs) for name in graph.sizes}
    for most in num_neighbors:
        found: dict[str, list[NDArray[np.int64]]] = {name: [] for name in graph.sizes}
        for step in graph.steps:
            if step.source not in frontier:
                continue
            source, example = frontier[step.source]
            bound = bounds[step.target][example]
            if step.up:
                parent = graph.parent_of(step.child, step.column)[source].astype(np.int64)
                keep = (parent >= 0) & (parent < bound)
                found[step.target].append(example[keep] * graph.sizes[step.target] + parent[keep])
                continue
            starts, children = graph.children_of(step.child, step.column)
            count = (starts[source + 1] - starts[source]).astype(np.int64)
            owner = np.repeat(np.arange(len(source)), count)
            place = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
            child = children[starts[source][owner] + place].astype(np.int64)
            keep = child < bound[owner]
            owner, child = owner[keep], child[keep]
            order = np.lexsort((rng.random(len(owner)), owner))
            owner, child = owner[order], child[order]
            first = np.searchsorted(owner, owner, side="left")
            chosen = np.arange(len(owner)) - first < most
            found[step.target].append(example[owner[chosen]] * graph.sizes[step.target] + child[chosen])
        frontier = {}
        for name, parts in found.items():
            if parts:
                new = np.setdiff1d(np.concatenate(parts), seen[name])
                seen[name] = np.union1d(seen[name], new)
                frontier[name] = new % graph.sizes[name], new // graph.sizes[name]
    return sum(len(nodes) for nodes in seen.values())


class Rate(NamedTuple):
    """Nodes per second: the median of all repeats, the best, and per second of processor time (median).

    On a machine with other work the last says most: it counts the seconds that all threads of this process computed.
    """

    median: float
    best: float
    processor: float


def rate(work: Callable[[int], int], repeats: int) -> Rate:
    """Nodes per second of `work(repeat)`, which returns how many it found; once unmeasured before."""
    work(0)
    rates, busy = [], []
    for repeat in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        found = work(repeat)
        rates.append(found / (time.perf_counter() - start))
        busy.append(found / (time.process_time() - used))
    return Rate(statistics.median(rates), max(rates), statistics.median(busy))


def measure(
    graph: Graph, strategy: Strategy, threads: int, batch: int, batches: int, num_neighbors: list[int], repeats: int
) -> Rate:
    """Nodes per second of the sampler over `batches` batches of `batch` examples."""
    sampler = Sampler(graph, num_neighbors, strategy, threads=threads)
    drawn = [examples(graph, batch, seed) for seed in range(batches)]

    def work(repeat: int) -> int:
        return sum(sampler.sample("customers", *entities, seed=repeat).node_count for entities in drawn)

    return rate(work, repeats)


def examples(graph: Graph, count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed + 1)
    return rng.integers(0, graph.sizes["customers"], count), rng.integers(YEAR // 2, YEAR, count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transactions", type=int, default=5_000_000)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--products", type=int, default=10_000)
    parser.add_argument("--num-neighbors", type=int, nargs="+", default=[64, 64, 32])
    parser.add_argument("--strategy", choices=["uniform", "recent", "decayed"], default="uniform")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    database = shop(chosen.transactions, chosen.customers, chosen.products)
    start = time.perf_counter()
    graph = Graph.from_database(database)
    built = time.perf_counter() - start
    nodes = measure(
        graph, chosen.strategy, chosen.threads, chosen.batch, chosen.batches, chosen.num_neighbors, chosen.repeats
    )
    few = examples(graph, 16, 0)
    by_numpy = rate(lambda seed: reference(graph, chosen.num_neighbors, *few, seed), 3)
    result = {
        "benchmark": "sampling",
        "strategy": chosen.strategy,
        "threads": chosen.threads,
        "num_neighbors": chosen.num_neighbors,
        "rows": sum(graph.sizes.values()),
        "nodes_per_second": round(nodes.median),
        "best_nodes_per_second": round(nodes.best),
        "numpy_nodes_per_second": round(by_numpy.median),
        "best_numpy_nodes_per_second": round(by_numpy.best),
        "ratio_to_numpy": round(nodes.median / by_numpy.median, 1),
        "nodes_per_processor_second": round(nodes.processor),
        "numpy_nodes_per_processor_second": round(by_numpy.processor),
        "processor_ratio_to_numpy": round(nodes.processor / by_numpy.processor, 1),
        "structure_seconds": round(built, 3),
        "structure_bytes": graph.nbytes,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
