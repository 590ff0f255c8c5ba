"""Whether two versions of the code give the same predictions: dump them in each environment, then compare.

    OLD/bin/python benchmarks/outputs.py dump old.npz --method xgboost_dfs --task rel-f1/driver-dnf
    NEW/bin/python benchmarks/outputs.py dump new.npz --method xgboost_dfs --task rel-f1/driver-dnf
    NEW/bin/python benchmarks/outputs.py compare old.npz new.npz

`--set key=value` sets hyperparameters, by the names that the version has. The comparison prints one line for each task and method: whether
the predictions of validation and test are equal bit for bit, and else their greatest relative difference. Exit code 1 where they
differ by more than 1e-6.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
import yaml

from relbench_harness.compose import make_method
from relbench_harness.data.dataset import open_task
from relbench_harness.protocol.method import Budget
from relbench_harness.protocol.stages import Stages

TOLERANCE = 1e-6


def shown(holdout: Any) -> Any:
    """The examples of a holdout; older versions call them questions."""
    return holdout.examples if hasattr(holdout, "examples") else holdout.questions


def dump(chosen: argparse.Namespace) -> None:
    found = {}
    given = {key: yaml.safe_load(value) for key, _, value in (one.partition("=") for one in chosen.set)}
    for task in chosen.task:
        stages = Stages(*open_task(task), chosen.regime)
        train, valid = stages.examples("train"), stages.examples("val")
        for name in chosen.method:
            method = make_method(name, **given)[0]
            predictor = method.fit(train, valid, Budget(seed=chosen.seed, threads=1, device="cpu"))
            for split in ("val", "test"):
                found[f"{task} {name} {split}"] = np.asarray(predictor.predict(shown(stages.holdout(split))))
            print(f"{task} {name}", file=sys.stderr)
    np.savez(chosen.out, **found)


def compare(chosen: argparse.Namespace) -> None:
    old, new = np.load(chosen.old), np.load(chosen.new)
    worst = 0.0
    for key in old.files:
        if np.array_equal(old[key], new[key], equal_nan=True):
            print(f"{key}: equal")
            continue
        a, b = old[key].astype(np.float64), new[key].astype(np.float64)
        difference = float(np.max(np.abs(a - b) / np.maximum(np.abs(a), 1e-3))) if a.shape == b.shape else np.inf
        worst = max(worst, difference)
        print(f"{key}: differs by {difference:.1e}")
    sys.exit(int(worst > TOLERANCE))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("dump", help="fit methods and keep what they predict")
    one.add_argument("out")
    one.add_argument("--task", nargs="+", required=True)
    one.add_argument("--method", nargs="+", required=True)
    one.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    one.add_argument("--regime", default="frozen")
    one.add_argument("--seed", type=int, default=3)
    one.set_defaults(run=dump)
    two = commands.add_parser("compare", help="two files that were dumped")
    two.add_argument("old")
    two.add_argument("new")
    two.set_defaults(run=compare)
    chosen = parser.parse_args()
    chosen.run(chosen)


if __name__ == "__main__":
    main()
