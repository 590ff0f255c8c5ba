"""Results made by hand, for tests of what is made of results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from relbench_harness.protocol.result import Result

METRICS = {"regression": ("nmae", False), "binary_classification": ("roc_auc", True)}


def make_result(
    method: str = "constant",
    test: float | None = 0.7,
    task: str = "rel-f1/driver-dnf",
    seed: int = 0,
    task_type: str = "binary_classification",
    **fields: Any,
) -> Result:
    """A result that scored `test` on test and a tenth less on val; with `test` None a failed one."""
    metric, higher = METRICS[task_type]
    scores = {} if test is None else {"val": {metric: round(test - 0.1, 6)}, "test": {metric: test, "other": 0.0}}
    given: dict[str, Any] = {
        "config": {"_target_": f"relbench_harness.baselines.{method}.M"},
        "regime": "frozen",
        "fitted_on": "train",
        "status": "error" if test is None else "ok",
        "error": "ValueError: no" if test is None else None,
        "scores": scores,
        "seconds": {"fit": 1.0, "total": 2.0},
        "seconds_warm": {"fit": 1.0, "total": 1.5},
        "peak_memory_mb": 100.0,
        "lines": {"task": 0, "method": 10, "harness": 1000},
        "dataset_fingerprint": "aaaaaaaaaaaa",
        "started": "2026-01-01T00:00:00+00:00",
    }
    given |= {"metric": metric, "higher_is_better": higher}
    return Result(task, task_type, method, seed=seed, **{**given, **fields})


@pytest.fixture(scope="session")
def result() -> Callable[..., Result]:
    return make_result
