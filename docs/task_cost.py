"""What a new task costs: the lines that somebody writes for it alone, and the seconds of a run, by three arms.

    python docs/task_cost.py results --into docs/results.md

counts the lines of hand-written features (`sql_xgboost`), synthesised features (`xgboost_dfs`) and the network (`gnn`) on every
task that ships, takes seconds and scores from the stored results, and writes both tables between their marks in the page; without
`--into` it prints them. Only results under the budget that most of them have are read.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from page_marks import put_between, row

from relbench_harness.board.lines import Count, by_file, written_files
from relbench_harness.board.sheets import GAVE_WAY, OF_GAVE_WAY
from relbench_harness.board.store import read_results
from relbench_harness.compose import make_method
from relbench_harness.data.names import task_names
from relbench_harness.errors import InputError
from relbench_harness.home import home
from relbench_harness.protocol.result import Result
from relbench_harness.request import written_for

ARMS = ("sql_xgboost", "xgboost_dfs", "gnn")
WRITTEN, *OTHERS = ARMS
REGIME = "frozen"
BEGIN, END = "<!-- made by docs/task_cost.py -->", "<!-- end of what docs/task_cost.py makes -->"
Runs = dict[tuple[str, str], list[Result]]
"""(task, arm) → its runs."""


def shipped_tasks() -> list[str]:
    """Every task of the datasets that ship."""
    return [f"{folder.name}/{task}" for folder in sorted(home("datasets").iterdir()) for task in task_names(folder)]


# -- lines ----------------------------------------------------------------------------------------------------------------


def lines_table() -> Iterator[str]:
    """Lines and bytes of gzip of every task that ships, and their mean."""
    methods = {arm: make_method(arm) for arm in ARMS}
    yield row("task", *(f"`{arm}`" for arm in ARMS), f"gzip of `{WRITTEN}`")
    yield "|" + "---|" * (len(ARMS) + 2)
    found: dict[str, list[int]] = {arm: [] for arm in ARMS}
    for task in shipped_tasks():
        cells, size = [], ""
        for arm, (method, config) in methods.items():
            try:
                counted = sum(by_file(written_files(config, written_for(method, task))), Count())
            except InputError:
                # nobody wrote its features
                cells.append("")
                continue
            found[arm].append(counted.lines)
            cells.append(str(counted.lines))
            size = str(counted.gzip) if arm == WRITTEN else size
        yield row(task, *cells, size)
    yield row("mean", *(f"{statistics.mean(of):.0f} ({len(of)} tasks)" for of in found.values()), "")


# -- seconds --------------------------------------------------------------------------------------------------------------


def measured(results: Sequence[Result]) -> Runs:
    """The newest run of each seed, in one regime and under the budget of most."""
    used = [r for r in results if r.ok and r.regime == REGIME and r.method in ARMS and r.fitted_on == "train"]
    common = Counter(map(budget_of, used)).most_common(1)
    newest: dict[tuple[str, str, int], Result] = {}
    for result in sorted(used, key=lambda r: r.started):
        if budget_of(result) == common[0][0]:
            newest[result.task, result.method, result.seed] = result
    found: Runs = {}
    for (task, arm, _), result in newest.items():
        found.setdefault((task, arm), []).append(result)
    return found


def budget_of(result: Result) -> str:
    return json.dumps({key: value for key, value in result.budget.items() if key != "seed"}, sort_keys=True)


def seconds(runs: Sequence[Result]) -> float:
    return statistics.mean(run.seconds["total"] for run in runs)


def score(runs: Sequence[Result]) -> float:
    return statistics.mean(run.score for run in runs)


def gave_way(runs: Sequence[Result]) -> bool:
    """Whether a trivial method answered in any of the runs, since it was the better one on validation."""
    return any("fallback" in run.notes for run in runs)


def seconds_table(runs: Runs) -> Iterator[str]:
    tasks = sorted({task for task, _ in runs})
    yield row("task", *(f"seconds `{arm}`" for arm in ARMS), "metric", *(f"`{arm}`" for arm in ARMS))
    yield "|" + "---|" * (2 * len(ARMS) + 2)
    for task in tasks:
        arms = [runs.get((task, arm), []) for arm in ARMS]
        metric = next(several[0].metric for several in arms if several)
        cost = [f"{seconds(several):.1f}" if several else "" for several in arms]
        quality = [
            f"{score(several):.4f}{f' {GAVE_WAY}' if gave_way(several) else ''}" if several else "" for several in arms
        ]
        yield row(task, *cost, metric, *quality)
    for arm in OTHERS:
        both = [(runs[task, WRITTEN], runs[task, arm]) for task in tasks if {(task, WRITTEN), (task, arm)} <= runs.keys()]
        if both:
            yield ""
            yield compared(arm, both)
    used = [run for several in runs.values() for run in several]
    if gave_way(used):
        yield ""
        yield OF_GAVE_WAY
    machines = sorted({f"{run.machine['cpu']}, {run.machine['cores']} cores" for run in used})
    dates, seeds = sorted(run.started[:10] for run in used), {len(several) for several in runs.values()}
    limit = f"{used[0].budget['seconds']:g} seconds" if used[0].budget["seconds"] else "no limit of time"
    yield ""
    yield (
        f"Regime {REGIME}; seeds: {', '.join(map(str, sorted(seeds)))}; budget of a run: {limit}, threads: "
        f"{used[0].budget['threads']}; machine: {'; '.join(machines)}; {' to '.join(dict.fromkeys([dates[0], dates[-1]]))}."
    )


def compared(arm: str, both: Sequence[tuple[list[Result], list[Result]]]) -> str:
    """A sentence on an arm beside hand-written features, on the tasks that have both."""
    times = [seconds(other) / seconds(one) for one, other in both]
    better = sum((score(other) > score(one)) == one[0].higher_is_better for one, other in both)
    return (
        f"`{arm}` takes {min(times):.1f} to {max(times):.1f} times the seconds of `{WRITTEN}` (median "
        f"{statistics.median(times):.1f}), and its mean score is the better one on {better} of {len(both)} tasks."
    )


def pages(results: Sequence[Result]) -> str:
    """What stands between the marks."""
    runs = measured(results)
    return "\n".join([*lines_table(), *(["", *seconds_table(runs)] if runs else [])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--into", type=Path, help="the page that holds the two marks")
    given = parser.parse_args()
    made = pages([result for folder in given.results for result in read_results(folder)])
    if given.into is None:
        print(made)
    else:
        put_between(given.into, BEGIN, END, made)


if __name__ == "__main__":
    main()
