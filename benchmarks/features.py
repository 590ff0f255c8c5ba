"""Deep feature synthesis beside featuretools and fastdfs: the same examples, one run, one JSON line.

    python benchmarks/features.py                       rel-f1/driver-dnf, training examples, default primitives, depth 2
    python benchmarks/features.py --peers none          without the peers
    python benchmarks/features.py --curve --task rel-shop@scale=10/customer-churn
                                                        the cost by number of examples and of cut-offs, and peak memory
    python benchmarks/features.py --examples 1000000 --memory-mb 3000 --limit-mb 8000 --task rel-shop@scale=100/customer-churn
                                                        one cold run that fails where it needs more than 8,000 MB

All engines get the definitions ready and the tables in memory. `ratio_featuretools` is its seconds over ours for equal
features; `ratio_fastdfs` is our features per second over its own. fastdfs needs older libraries than ours and is installed
in an environment of its own (`--environment`, made where missing).
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from equality import compare

from relbench_harness.data.dataset import open_task
from relbench_harness.features.block import Features
from relbench_harness.features.dfs.synthesis import DeepFeatureSynthesis, FittedSynthesis
from relbench_harness.protocol.method import Examples
from relbench_harness.protocol.stages import Stages

FASTDFS = "fastdfs==1.2"
EXAMPLES = (1_000, 2_000, 10_000, 20_000, 100_000, 200_000, 1_000_000)
CUT_OFFS = (10, 20, 100, 200, 1_000, 2_000)
AT_CUT_OFFS = 20_000


class Clock:
    """Seconds since it was made: by the wall, and of the processor (all threads), which a busy machine disturbs less."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        return time.perf_counter() - self._wall, time.process_time() - self._cpu


def ours(fitted: FittedSynthesis, examples: Examples, times: int) -> tuple[float, float]:
    """Median wall and processor seconds of `times` runs after one to warm up."""
    fitted.transform(examples)
    read = []
    for _ in range(times):
        clock = Clock()
        fitted.transform(examples)
        read.append(clock.read())
    return statistics.median(wall for wall, _ in read), statistics.median(cpu for _, cpu in read)


def featuretools(fitted: FittedSynthesis, examples: Examples) -> tuple[float, float, Features]:
    reference = replace(fitted, settings=replace(fitted.settings, engine="featuretools"))
    clock = Clock()
    found = reference.transform(examples)
    return *clock.read(), found


def fastdfs(examples: Examples, environment: Path) -> tuple[float, int]:
    """Seconds and number of features of fastdfs with its own default primitives at depth 2."""
    python = environment / "bin" / "python"
    if not python.is_file():
        venv.create(environment, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", FASTDFS, "setuptools<81"], check=True)
    with tempfile.TemporaryDirectory() as folder:
        described = {}
        for name, table in examples.database.items():
            pq.write_table(table.rows, Path(folder) / f"{name}.parquet")
            described[name] = {"key": table.key, "time": table.time, "references": dict(table.references)}
        (Path(folder) / "tables.json").write_text(json.dumps(described))
        moments = pa.array(examples.cutoff).cast(pa.timestamp("ns"))
        pq.write_table(pa.table({"row": examples.entity, "time": moments}), Path(folder) / "seeds.parquet")
        entity = examples.task.entity_table
        command = [python, Path(__file__).with_name("features_fastdfs.py"), folder, entity, described[entity]["key"]]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"fastdfs failed: {done.stderr[-2000:]}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return float(found["seconds"]), int(found["features"])


def drawn(examples: Examples, count: int, cut_offs: int | None = None, seed: int = 0) -> Examples:
    """`count` examples about random entities, each at a time of its own or at one of `cut_offs` times."""
    rng = np.random.default_rng(seed)
    entities = len(examples.database[examples.task.entity_table])
    first, last = examples.database.span
    moments = rng.integers(first, last, cut_offs or count)
    if cut_offs is not None:
        moments = rng.choice(moments, count)
    who = rng.integers(0, entities, count)
    return replace(examples, entity=who, time=moments, cutoff=moments, labels=None)


def curve(fitted: FittedSynthesis, whole: Examples, most: int) -> dict[str, object]:
    """[wall, processor] seconds by number of examples, each at a time of its own, and of equally many at few or many times."""

    def seconds(count: int, cut_offs: int | None = None) -> list[float]:
        examples = drawn(whole, count, cut_offs)
        clock = Clock()
        fitted.transform(examples)
        found = [round(part, 2) for part in clock.read()]
        print(count, "examples", cut_offs or count, "cut-offs", *found, file=sys.stderr)
        return found

    seconds(1)
    return {
        "by_examples": {str(n): seconds(n) for n in EXAMPLES if n <= most},
        "by_cut_offs": {str(n): seconds(AT_CUT_OFFS, n) for n in CUT_OFFS},
    }


def once(fitted: FittedSynthesis, whole: Examples, count: int) -> dict[str, object]:
    """One cold run of `count` examples, each at a time of its own."""
    examples = drawn(whole, count)
    before, clock = peak_mb(), Clock()
    found = fitted.transform(examples)
    seconds, cpu = clock.read()
    return {
        "examples": count,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "filled": round(float(np.mean([np.isfinite(column.numbers).mean() for column in found.columns])), 3),
        "peak_memory_before_mb": before,
    }


def peak_mb() -> int:
    """The most resident memory of this process so far, mapped tables included."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="rel-f1/driver-dnf")
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--memory-mb", type=int, default=None)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--peers", default="featuretools,fastdfs")
    parser.add_argument("--environment", type=Path, default=Path(tempfile.gettempdir()) / "fastdfs-environment")
    parser.add_argument("--curve", action="store_true")
    parser.add_argument("--most", type=int, default=1_000_000, help="examples at the end of the curve")
    parser.add_argument("--examples", type=int, help="one cold run of so many examples instead")
    parser.add_argument("--limit-mb", type=int, help="memory that the process may allocate (Linux: RLIMIT_DATA)")
    given = parser.parse_args()
    if given.limit_mb is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (given.limit_mb << 20, given.limit_mb << 20))
    stages = Stages(*open_task(given.task), "rolling")
    train = stages.examples("train")
    start = time.perf_counter()
    synthesis = DeepFeatureSynthesis(given.depth, threads=given.threads, memory_mb=given.memory_mb)
    fitted = synthesis.fit(train)
    result: dict[str, object] = {
        "task": given.task,
        "examples": len(train),
        "cut_offs": len(np.unique(train.cutoff)),
        "features": len(fitted.features),
        "definition_seconds": round(time.perf_counter() - start, 3),
    }
    if given.curve or given.examples:
        whole = stages.holdout("test").examples
        result["rows"] = sum(len(table) for table in whole.database.values())
        result |= once(fitted, whole, given.examples) if given.examples else curve(fitted, whole, given.most)
    else:
        seconds, cpu = ours(fitted, train, given.times)
        result |= {"seconds": round(seconds, 3), "cpu_seconds": round(cpu, 3)}
        if "featuretools" in given.peers:
            peer, peer_cpu, theirs = featuretools(fitted, train)
            result |= {"featuretools_seconds": round(peer, 2), "featuretools_cpu_seconds": round(peer_cpu, 2)}
            result |= {"ratio_featuretools": round(peer / seconds, 1), "ratio_featuretools_cpu": round(peer_cpu / cpu, 1)}
            result |= {
                "cells": len(train) * len(fitted.features),
                "different": compare(fitted.transform(train), theirs).different,
            }
        if "fastdfs" in given.peers:
            peer, features = fastdfs(train, given.environment)
            rate = len(fitted.features) / seconds / (features / peer)
            result |= {"fastdfs_seconds": round(peer, 3), "fastdfs_features": features, "ratio_fastdfs": round(rate, 2)}
    result["peak_memory_mb"] = peak_mb()
    json.dump(result, sys.stdout)
    print()


if __name__ == "__main__":
    main()
