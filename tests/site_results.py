"""Results for sites: two ordinary methods and one that failed on two tasks, and names that try to be more than text."""

from __future__ import annotations

import json
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

from relbench_harness.board.importance import Agreement, Importance, Weighed, write_importance
from relbench_harness.protocol.result import Result

EVIL = "<img src=x onerror=alert(1)>\"'&{{ 7*7 }}|\\../..\u202e\x1b[31m"
LONG = "m" * 300
CHURN, SPEND, ODD = "house/churn", "house/spend", f"odd@a={EVIL}/churn"


def made(method: str, test: float | None, task: str = CHURN, seed: int = 0, **fields: Any) -> Result:
    """A result that scored `test`; with None a failed one."""
    binary = "spend" not in task
    metric = "roc_auc" if binary else "nmae"
    given: dict[str, Any] = {
        "config": {"_target_": "house.methods.Method", "depth": 3, "parts": [{"name": EVIL}, {"rate": 0.1}]},
        "regime": "rolling",
        "fitted_on": "train",
        "status": "error" if test is None else "ok",
        "error": f"ValueError: {EVIL}" if test is None else None,
        "scores": {} if test is None else {"val": {metric: test}, "test": {metric: test, "other": 1 - test}},
        "seconds": {"total": 10.0 * (test or 1.0) ** 4},
        "seconds_warm": {"total": 1.0},
        "peak_memory_mb": 100.0 + 1000 * (test or 0.0),
        "lines": {
            "task": 10,
            "method": 100 + seed,
            "harness": 1000,
            "files": {"method": ["a.py"]},
            "tokens": {"method": 7},
        },
        "shared": {"is_shared": method == "beta"},
        "dataset_fingerprint": "aaaaaaaaaaaa",
        "machine": {"cpu": "Abacus <3>"},
        "commit": "0123456789abcdef",
        "started": f"2026-01-01T00:00:0{seed}+00:00",
    }
    type_ = "binary_classification" if binary else "regression"
    return Result(task, type_, method, seed=seed, metric=metric, higher_is_better=binary, **{**given, **fields})


def results() -> list[Result]:
    """Two regimes, two tasks and an odd one; `broken` fails, and `beta` ran on a shared machine."""
    found = []
    for seed in (0, 1):
        for regime in ("frozen", "rolling"):
            found += [
                made("alpha", 0.71 + seed / 100, seed=seed, regime=regime),
                made("beta", 0.82 + seed / 100, seed=seed, regime=regime),
            ]
        found += [made("alpha", 0.41 + seed / 100, SPEND, seed), made("beta", 0.52 + seed / 100, SPEND, seed)]
    curves: dict[str, Any] = {"seconds": [[1.0, 2.5, 4.0]], "epoch": [[1, 2, 3]], "validation": [[0.5, 0.7, 0.8]]}
    found[0] = replace(found[0], learning_curves=curves)
    found += [made("broken", None), made("broken", None, SPEND)]
    found += [made(EVIL, 0.6), made(LONG, 0.55), made("alpha", 0.7, ODD), made("con", 0.65, ODD, notes={"why": EVIL})]
    return found


PUBLISHED = f"method,task,metric,value,regime,source\nOther <b>,{CHURN},roc_auc,0.9,rolling,paper & co\nOther,{CHURN},log_loss,0.4,rolling,paper\n"


def write_results(folder: Path) -> Path:
    """A results folder as one file of lines, an audit report, what a method looks at, and published rows."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{result.to_json()}\n" for result in results())
    (folder / "lines.jsonl").write_text(lines, encoding="utf-8")
    (folder / "published").mkdir(exist_ok=True)
    (folder / "published" / "rows.csv").write_text(PUBLISHED, encoding="utf-8")
    report = {
        "task": CHURN, "method": "alpha", "regime": "rolling", "config": results()[0].config, "budget": {}, "code": "c",
        "dataset_fingerprint": "aaaaaaaaaaaa", "examples": {}, "started": "2026-01-01", "seconds": 1.0, "schema": 1,
        "findings": [{"check": "later_rows", "verdict": "passed", "evidence": f"Nothing {EVIL}.", "figures": {}}],
    }  # fmt: skip
    home = folder / "audit" / "house__churn" / "alpha"
    home.mkdir(parents=True, exist_ok=True)
    (home / "rolling.json").write_text(json.dumps(report), encoding="utf-8")
    parts = (Weighed("column", f"orders.{EVIL}", 0.75, 0.125, 0.1, 0.15), Weighed("table", "orders", 1.0, 0.2, nan, nan))
    agreement = Agreement("column", ("ablation", "contributions"), 0.875, 7)
    looked = Importance(
        CHURN, "alpha", "rolling", 321, {"ablation": "roc_auc", "contributions": EVIL},
        {"ablation": parts, "contributions": parts[:1]}, (agreement,), (3, 0.8125, 0.5, 0.9),
    )  # fmt: skip
    write_importance(looked, folder)
    write_importance(replace(looked, task=ODD), folder)
    return folder
