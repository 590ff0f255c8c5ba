"""Compiles the kernels of this machine before runs that can keep nothing: `python -m relbench_harness.warming`.

A sealed run may read compiled kernels and write none, so each would compile them anew, within its own time. Small runs in processes
of their own, which are not sealed, call every kernel on arrays like those of all runs. Invariant: no code of a method that is to be
sealed takes part, so that none can leave machine code to others.
"""

from __future__ import annotations

import sys
import tempfile

from relbench_harness.cli import main

WORLD = "rel-shop@scale=0.2"
"""Small, with more items than are all candidates."""
NETWORK = ("method=gnn", "method.epochs=1", "method.steps_per_epoch=1", "method.num_neighbors=[4,2]")
TREES = ("method=xgboost_dfs", "method.n_estimators=1", "method.ensemble_size=1")
TASKS = (f"{WORLD}/customer-churn", f"{WORLD}/customer-products")
COMMON = ("regime=frozen", "isolation=process", "guard=none", "budget.threads=1", "budget.device=cpu", "resume=false")


def warm() -> int:
    """Makes the small runs; the exit code of the last that failed, else 0."""
    code = 0
    with tempfile.TemporaryDirectory() as folder:
        for task in TASKS:
            for method in (NETWORK, TREES):
                code = main(["run", f"task={task!r}", f"results_dir={folder}", *method, *COMMON]) or code
    return code


if __name__ == "__main__":
    sys.exit(warm())
