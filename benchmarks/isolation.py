"""What isolation costs: seconds of a run with a method that does nothing, in this process, in one of its own, and sealed.

    RELBENCH_HARNESS_DATASETS=FOLDER python benchmarks/isolation.py [--task rel-f1/driver-top3] [--repeats 7] [--sleep SECONDS]

`first` is the first run of its kind: the fork server starts, and the tables that a method may see are written. `median` and
`most` are those of the later runs; `overhead` is the median's difference to `none`. Methods of later runs find loaded what the
first one loaded. `--sleep` makes the method take so long, to see the overhead of a run that does something.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.dataset import open_task
from relbench_harness.protocol import servers
from relbench_harness.protocol.method import Budget, Examples
from relbench_harness.protocol.run import Run
from relbench_harness.protocol.sandbox import Sandbox
from relbench_harness.protocol.stages import Stages
from relbench_harness.protocol.work import InThisProcess, Isolation

WAYS: tuple[Isolation, ...] = (InThisProcess(), Sandbox("process"), Sandbox("sealed"))


@dataclass(frozen=True)
class Nothing:
    """Answers with one half, after so many seconds."""

    seconds: float = 0.0

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Nothing:
        time.sleep(self.seconds)
        return self

    def predict(self, examples: Examples) -> NDArray[np.float64]:
        return np.full(len(examples), 0.5)


def measured(task: str, method: Nothing, isolation: Isolation) -> float:
    """Wall seconds of a run whose dataset is built already."""
    begin = time.perf_counter()
    result = Run(Stages(*open_task(task), "rolling"), method, "nothing", Budget(), isolation=isolation).execute().result
    if not result.ok:
        raise SystemExit(f"{isolation.name}: {result.error}\n{result.traceback}")
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", default="rel-f1/driver-top3", help="a binary task")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--sleep", type=float, default=0.0, metavar="SECONDS")
    given = parser.parse_args()
    method = Nothing(given.sleep)
    measured(given.task, method, WAYS[0])
    print(f"| {given.task} | first | median | most | overhead |\n|---|---|---|---|---|")
    base = 0.0
    for isolation in WAYS:
        first, *later = [measured(given.task, method, isolation) for _ in range(given.repeats + 1)]
        median = statistics.median(later)
        base = median if isolation is WAYS[0] else base
        print(
            f"| {isolation.name} | {first:.2f} s | {median:.2f} s | {max(later):.2f} s | {median - base:+.2f} s |",
            flush=True,
        )
    servers.close_all()


if __name__ == "__main__":
    main()
