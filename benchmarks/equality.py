"""Every feature of every example beside featuretools' own value: one JSON line per group of tasks.

    python benchmarks/equality.py                                   every group below
    python benchmarks/equality.py rel-f1/driver-dnf --depth 3       one task, or several about the same table

All examples of training, validation and test, with featuretools' default primitives and `include_cutoff_time=False`. A cell
differs if it is off by more than 1e-6 of its size. featuretools makes one pass per distinct cut-off and calls Python for
each example and feature, so a group takes minutes to an hour; tasks about the same entities at the same times share
their values.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from relbench_harness.data.dataset import open_task
from relbench_harness.features.block import Features, united
from relbench_harness.features.dfs.synthesis import DeepFeatureSynthesis, distinct_seeds
from relbench_harness.protocol.stages import Stages

DRIVERS = ("rel-f1/driver-dnf", "rel-f1/driver-top3", "rel-f1/driver-position")
GROUPS: tuple[tuple[Sequence[str], int], ...] = (
    (DRIVERS, 2),
    (("retail-uk/customer-churn",), 2),
    (("retail-uk/product-sales",), 2),
    (DRIVERS, 3),
    (("rel-nycflights/plane-churn", "rel-nycflights/plane-delay", "rel-nycflights/plane-airport"), 2),
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


def equality(tasks: Sequence[str], depth: int) -> dict[str, object]:
    splits = []
    for task in tasks:
        stages = Stages(*open_task(task), "rolling")
        splits += [stages.examples("train"), stages.examples("val"), stages.holdout("test").examples]
    every = united(splits)
    if every is None:
        raise SystemExit(f"{', '.join(tasks)} do not ask about the same database: name them one by one")
    # the vocabularies of the first task's training, as in a run of it
    fitted = DeepFeatureSynthesis(depth).fit(splits[0])
    reference = replace(fitted, settings=replace(fitted.settings, engine="featuretools"))
    start = time.perf_counter()
    ours = fitted.transform(every)
    middle = time.perf_counter()
    (rows, times), place = distinct_seeds(every)
    distinct = replace(every, entity=rows, time=times, cutoff=times)
    theirs = reference.transform(distinct).take(place)
    return {
        "tasks": list(tasks),
        "depth": depth,
        "examples": len(every),
        "distinct_examples": len(distinct),
        "cut_offs": len(np.unique(every.cutoff)),
        "features": len(fitted.features),
        **asdict(compare(ours, theirs)),
        "seconds": round(middle - start, 2),
        "featuretools_seconds": round(time.perf_counter() - middle, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", nargs="*", help="dataset/task")
    parser.add_argument("--depth", type=int, default=2, help="of the tasks named")
    given = parser.parse_args()
    unequal = False
    for tasks, depth in [(given.task, given.depth)] if given.task else GROUPS:
        line = equality(tasks, depth)
        print(json.dumps(line), flush=True)
        unequal |= bool(line["different"])
    sys.exit(unequal)


if __name__ == "__main__":
    main()
