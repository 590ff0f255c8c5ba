"""The table of the ablation study: what each mechanism of the network is worth on backtests.

    python docs/ablations/tabulate.py results/ablation

reads the results of `study=ablation` and prints Markdown. For each backtest the gain of a mechanism is the relative change of the
primary metric on the backtest's test split between the whole network and the network without it, positive where the
mechanism helps. A mechanism stays where its mean gain over the suite is above its standard error.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from relbench_harness.board.store import read_results
from relbench_harness.protocol.result import Result

WHOLE = "nothing"


def left_out(result: Result) -> str:
    """The mechanism that a run left out."""
    without = list(result.config.get("without", ()))
    return str(without[0]) if without else WHOLE


def gains(results: list[Result]) -> dict[str, dict[str, float]]:
    """Mechanism → task → relative gain."""
    scores: dict[str, dict[str, float]] = {}
    better: dict[str, bool] = {}
    for result in results:
        if result.ok:
            scores.setdefault(left_out(result), {})[result.task] = result.score
            better[result.task] = result.higher_is_better
    whole = scores.pop(WHOLE, {})
    found: dict[str, dict[str, float]] = {}
    for name, by_task in scores.items():
        for task, score in by_task.items():
            if task in whole and not math.isnan(score):
                change = (whole[task] - score) / abs(score)
                found.setdefault(name, {})[task] = change if better[task] else -change
    return found


def summary(by_task: Mapping[str, float]) -> tuple[float, float]:
    """Mean gain and its standard error over the backtests."""
    values = np.array(list(by_task.values()))
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+")
    found = gains([result for folder in parser.parse_args().results for result in read_results(folder)])
    tasks = sorted({task for by_task in found.values() for task in by_task})
    print("| mechanism | backtests | mean gain | standard error | helps, hurts | verdict |")
    print("|---|---|---|---|---|---|")
    for name, by_task in sorted(found.items(), key=lambda item: -summary(item[1])[0]):
        mean, error = summary(by_task)
        helps, hurts = (sum(sign * gain > 1e-4 for gain in by_task.values()) for sign in (1, -1))
        verdict = "stays" if mean > error else "goes"
        print(f"| `{name}` | {len(by_task)} | {mean:+.2%} | {error:.2%} | {helps}, {hurts} | {verdict} |")
    print("\n| backtest | " + " | ".join(f"`{name}`" for name in found) + " |")
    print("|---" * (1 + len(found)) + "|")
    for task in tasks:
        cells = [f"{by_task[task]:+.2%}" if task in by_task else "" for by_task in found.values()]
        print(f"| {task} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
