"""Every feature of every question beside featuretools' own value: one JSON line per task and depth.

    python benchmarks/equality.py                                   every task below at depth 2, rel-f1 at depth 3 too
    python benchmarks/equality.py rel-f1/driver-dnf --depth 3       one task

The questions of training, validation and test are computed in one pass by the engine, as in a run, and split by split by
featuretools, with its default primitives and `include_cutoff_time=False`. A cell differs if it is off by more than 1e-6 of
its size. featuretools makes one pass per distinct cut-off, so a task takes minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass, replace

import numpy as np

from relbench_harness.data.dataset import open_task
from relbench_harness.features.block import Features, compute_many
from relbench_harness.features.synthesis import DeepFeatureSynthesis
from relbench_harness.protocol.stages import Stages

TASKS = (
    ("rel-f1/driver-dnf", 2),
    ("rel-f1/driver-top3", 2),
    ("rel-f1/driver-position", 2),
    ("rel-nycflights/plane-churn", 2),
    ("rel-nycflights/plane-delay", 2),
    ("rel-nycflights/plane-airport", 2),
    ("retail-uk/customer-churn", 2),
    ("retail-uk/product-sales", 2),
    ("rel-f1/driver-top3", 3),
    ("rel-f1/driver-position", 3),
    ("rel-f1/driver-dnf", 3),
)
TOLERANCE = 1e-6
SMALL = 1e-9
"""Below this size two numbers count as equal: sums of floating-point numbers leave dust where the value is 0."""


@dataclass(frozen=True)
class Comparison:
    """How many cells of two sets of features differ.

    Attributes:
        worst: The largest difference relative to the size of the value, of all cells.
        wrong: The names of the features that differ, and in how many cells.
    """

    cells: int
    different: int
    worst: float
    wrong: dict[str, int]


def compare(ours: Features, theirs: Features) -> Comparison:
    assert ours.names == theirs.names
    worst, found = 0.0, {}
    for one, two in zip(ours.columns, theirs.columns, strict=True):
        a, b = one.numbers, two.numbers
        unequal = int((~np.isclose(a, b, rtol=TOLERANCE, atol=SMALL, equal_nan=True)).sum())
        if unequal:
            found[one.name] = unequal
        size = np.maximum(np.abs(a), np.abs(b))
        there = size > SMALL
        worst = max(worst, float(np.max(np.abs(a - b)[there] / size[there], initial=0.0)))
    return Comparison(ours.rows * len(ours.columns), sum(found.values()), worst, found)


def equality(task: str, depth: int) -> dict[str, object]:
    stages = Stages(*open_task(task), "rolling")
    splits = [stages.examples("train"), stages.examples("val"), stages.holdout("test").questions]
    fitted = DeepFeatureSynthesis(depth).fit(splits[0])
    start = time.perf_counter()
    ours = compute_many(fitted, splits)
    middle = time.perf_counter()
    reference = replace(fitted, settings=replace(fitted.settings, engine="featuretools"))
    found = [compare(one, reference.compute(examples)) for one, examples in zip(ours, splits, strict=True)]
    end = time.perf_counter()
    wrong: dict[str, int] = {}
    for comparison in found:
        for name, count in comparison.wrong.items():
            wrong[name] = wrong.get(name, 0) + count
    return {
        "task": task,
        "depth": depth,
        "questions": [len(examples) for examples in splits],
        "cut_offs": [len(np.unique(examples.cutoff)) for examples in splits],
        "features": len(fitted.features),
        **asdict(Comparison(sum(c.cells for c in found), sum(wrong.values()), max(c.worst for c in found), wrong)),
        "seconds": round(middle - start, 2),
        "featuretools_seconds": round(end - middle, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", nargs="*", help="dataset/task")
    parser.add_argument("--depth", type=int, default=2, help="of the tasks named")
    given = parser.parse_args()
    unequal = False
    for task, depth in [(task, given.depth) for task in given.task] or TASKS:
        line = equality(task, depth)
        print(json.dumps(line), flush=True)
        unequal |= bool(line["different"])
    sys.exit(unequal)


if __name__ == "__main__":
    main()
