"""Results and entries of plans without runs, and the processes of a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil

from relbench_harness.board import store
from relbench_harness.protocol.result import Outcome, Result
from relbench_harness.sweep.plan import Entry


def made(identity: str = "0" * 32, status: str = "ok", **changed: Any) -> Result:
    """A result of a run of `constant`."""
    given: dict[str, Any] = {
        "task": "shop/churn",
        "task_type": "binary_classification",
        "method": "constant",
        "config": {"_target_": "relbench_harness.baselines.constant.Constant"},
        "seed": 0,
        "regime": "frozen",
        "fitted_on": "train",
        "status": status,
        "metric": "roc_auc",
        "higher_is_better": True,
        "scores": {"val": {"roc_auc": 0.5}, "test": {"roc_auc": 0.5}} if status == "ok" else {},
        "seconds": {"total": 3.0},
        "seconds_warm": {"total": 2.0},
        "identity": identity,
    }
    return Result(**{**given, **changed})


def stored(folder: Path, *results: Result) -> None:
    for result in results:
        store.place(Outcome(result, None), folder)


def entry(identity: str = "0" * 32, **changed: Any) -> Entry:
    given: dict[str, Any] = {"task": "shop/churn", "method": "constant", "seed": 0, "regime": "frozen"}
    return Entry(identity, **{**given, **changed})


def children(process: psutil.Process) -> list[psutil.Process]:
    """The processes below `process`, zombies left out."""
    found = []
    for one in process.children(recursive=True):
        try:
            one.cmdline()
            found.append(one)
        except psutil.Error:
            continue
    return found
