"""The benchmarks run, and what they compare finds the same nodes."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from relbench_harness.graph.sampler import Sampler
from relbench_harness.graph.structure import Graph

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_numpy_reference_finds_the_same_nodes() -> None:
    sampling = runpy.run_path(str(BENCHMARKS / "sampling.py"))
    graph = Graph.from_database(sampling["shop"](3000, 60, 20))
    rows, cutoffs = sampling["examples"](graph, 12, 0)
    num_neighbors = [10**6, 10**6]
    found = Sampler(graph, num_neighbors, "uniform").sample("customers", rows, cutoffs)
    assert len(np.unique(cutoffs)) == 12
    assert sampling["reference"](graph, num_neighbors, rows, cutoffs, 0) == found.node_count
    # the nodes of two hops at fan-outs that leave some out differ by chance alone
    some = [Sampler(graph, [8, 4], "uniform", seed=s).sample("customers", rows, cutoffs).node_count for s in range(20)]
    other = [sampling["reference"](graph, [8, 4], rows, cutoffs, s) for s in range(20)]
    assert abs(np.mean(some) - np.mean(other)) < 4 * np.std([*some, *other]) / np.sqrt(20) + 1e-9


@pytest.mark.thorough
def test_benchmarks_print_json() -> None:
    for arguments in (
        ["sampling.py", "--transactions", "20000", "--customers", "400", "--products", "40", "--batches", "1"],
        ["reading.py", "--scale", "0.3", "--steps", "2", "--epochs", "2", "--cold"],
    ):
        ran = subprocess.run(
            [sys.executable, str(BENCHMARKS / arguments[0]), *arguments[1:]], capture_output=True, text=True, check=True
        )
        result = json.loads(ran.stdout)
        assert result["rows"] > 20000
        assert result.get("nodes_per_second", 1) > 0 and result.get("examples_per_second", 1) > 0
