"""Methods over the development suite, beside the plain reference: how much better, how often, how long, how large.

    relbench-harness run -m study=suite method=lightgbm_simple,xgboost_dfs,gnn budget.seconds=120 results_dir=results/mine-suite
    python benchmarks/suite.py results/mine-suite

prints Markdown, one row per method and budget. Scores are those of the tasks' test splits; of a backtest it lies inside validation or
training. The relative difference is to the reference's score on the same task, regime and seed, positive where the method is better.
`noise` is the standard error of its mean. Runs that failed count as lost.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from relbench_harness.board.store import read_results
from relbench_harness.protocol.result import Result

REFERENCE = "lightgbm_simple"
Run = tuple[str, str, int]
"""Task, regime and seed."""


@dataclass(frozen=True)
class Row:
    """One method within one budget, over the runs that it shares with the reference."""

    method: str
    seconds: float | None
    differences: Mapping[Run, float]
    results: tuple[Result, ...]

    def cells(self) -> list[str]:
        values = np.array(list(self.differences.values()))
        found = values[np.isfinite(values)]
        noise = found.std(ddof=1) / math.sqrt(len(found)) if len(found) > 1 else math.nan
        total = [result.seconds.get("total", math.nan) for result in self.results]
        over = max(total) - self.seconds if self.seconds else math.nan
        return [
            self.method,
            "none" if self.seconds is None else f"{self.seconds:g}",
            str(len(values)),
            f"{found.mean():+.2%}" if len(found) else "",
            f"{noise:.2%}",
            f"{np.median(found):+.2%}" if len(found) else "",
            f"{int((values > 0).sum())} of {len(values)}",
            str(sum(not result.ok for result in self.results)),
            str(sum("fallback" in result.notes for result in self.results)),
            f"{np.mean(total):.0f}, {max(total):.0f}",
            "" if math.isnan(over) else f"{over:+.1f}",
            f"{max(sum(result.cpu_seconds.values()) for result in self.results):.0f}",
            f"{max(result.peak_memory_mb for result in self.results):,.0f}",
        ]


HEADS = (
    "method", "budget, s", "runs", "mean difference", "noise", "median", "wins", "failed", "fallback",
    "mean, longest s", "over budget at most, s", "most processor s", "most memory, MB",
)  # fmt: skip


def rows(results: Iterable[Result], reference: str = REFERENCE) -> list[Row]:
    """The rows of the table; a method's runs are compared with the reference's latest of the same task, regime and seed."""
    latest: dict[tuple[str, float | None, Run], Result] = {}
    for result in sorted(results, key=lambda one: one.started):
        latest[result.method, result.budget.get("seconds"), (result.task, result.regime, result.seed)] = result
    base = {run: result for (method, _, run), result in latest.items() if method == reference and result.ok}
    grouped: dict[tuple[str, float | None], dict[Run, Result]] = {}
    for (method, seconds, run), result in latest.items():
        if run in base:
            grouped.setdefault((method, seconds), {})[run] = result
    found = []
    for (method, seconds), runs in sorted(grouped.items(), key=lambda item: (item[0][0], item[0][1] or math.inf)):
        differences = {run: difference(result, base[run]) for run, result in runs.items()}
        found.append(Row(method, seconds, differences, tuple(runs.values())))
    return found


def difference(result: Result, base: Result) -> float:
    """How much better `result` is than `base`, as a part of the latter's score; minus infinity for a failure."""
    if not result.ok or math.isnan(result.score):
        return -math.inf
    change = (result.score - base.score) / max(abs(base.score), 1e-12)
    return change if result.higher_is_better else -change


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--tasks", action="store_true", help="also print the differences task by task")
    parsed = parser.parse_args()
    found = rows(result for folder in parsed.results for result in read_results(folder))
    print("| " + " | ".join(HEADS) + " |\n" + "|---" * len(HEADS) + "|")
    for row in found:
        print("| " + " | ".join(row.cells()) + " |")
    if parsed.tasks:
        names = [f"{row.method} {'' if row.seconds is None else f'{row.seconds:g} s'}".strip() for row in found]
        print("\n| run | " + " | ".join(names) + " |\n" + "|---" * (1 + len(names)) + "|")
        for run in sorted({run for row in found for run in row.differences}):
            cells = [f"{row.differences[run]:+.2%}" if run in row.differences else "" for row in found]
            print(f"| {run[0]}, {run[1]}, {run[2]} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
