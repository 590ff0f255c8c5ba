"""Kernels are compiled when they are needed, alone, once, and at a cost that is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, os, sys
writable = os.access
if sys.argv[2] == "read-only":
    os.access = lambda path, mode: False if "relbench_harness" in str(path) else writable(path, mode)
import numpy as np
import pyarrow as pa
from types import MappingProxyType
from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.graph import drawing
from relbench_harness.graph.sampler import Sampler
from relbench_harness.graph.structure import Graph
from relbench_harness.timing import phase, timed
parents = Table("a", pa.table({"id": np.arange(3)}), key="id")
children = Table("b", pa.table({"a": np.arange(9) % 3, "t": pa.array(np.arange(9)).cast(pa.timestamp("ns"))}),
                 time="t", references=MappingProxyType({"a": "a"}))
with timed() as watch, phase("graph"):
    graph = Graph.from_database(Database([parents, children]))
    Sampler(graph, [2, 2], sys.argv[1]).sample("a", np.arange(3), np.full(3, 100))
drawn = [name for name in ("pick_uniform", "pick_decayed") if getattr(drawing, name).signatures]
print(json.dumps([watch.wall, drawn]))
"""


def sampled(strategy: str, folder: Path, kind: str = "as is") -> tuple[dict[str, float], list[str]]:
    """Seconds by phase of sampling in a process of its own, and which of the drawing kernels were compiled or read."""
    where = "RELBENCH_HARNESS_CACHE" if kind == "read-only" else "NUMBA_CACHE_DIR"
    kept = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, strategy, kind],
        capture_output=True,
        text=True,
        check=True,
        env={**kept, where: str(folder)},
    )
    wall, drawn = json.loads(done.stdout)
    return wall, drawn


def test_compiling_is_a_phase_of_the_first_run_alone(tmp_path: Path) -> None:
    first, _ = sampled("recent", tmp_path)
    assert first["compile"] > first["graph"]
    second, _ = sampled("recent", tmp_path)
    assert "compile" not in second


@pytest.mark.thorough
def test_only_what_a_strategy_needs_is_compiled(tmp_path: Path) -> None:
    assert sampled("recent", tmp_path)[1] == []
    assert not list(tmp_path.rglob("drawing.pick_*"))
    sampled("uniform", tmp_path)
    assert list(tmp_path.rglob("drawing.pick_uniform*"))


def test_where_nothing_can_be_written_beside_the_source_the_harness_keeps_machine_code(tmp_path: Path) -> None:
    sampled("recent", tmp_path, "read-only")
    assert list((tmp_path / "kernels").rglob("expansion.expand*.nbc"))
