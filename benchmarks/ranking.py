"""Seconds to rank 100,000 results, made by repeating those of a folder with other seeds and tasks.

python benchmarks/ranking.py results/rel-f1
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from relbench_harness.board import store
from relbench_harness.board.leaderboard import leaderboard
from relbench_harness.board.overall import overall
from relbench_harness.protocol.result import Result


def repeated(results: Sequence[Result], number: int) -> Iterator[Result]:
    """About `number` results: each of `results` as often, with other seeds, on ten tasks for each of theirs."""
    each = number // len(results)
    for one in results:
        for i in range(each):
            seed = one.seed * each + i
            yield replace(one, seed=seed, task=f"{one.task}-{i % 10}", budget={**one.budget, "seed": seed})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--number", type=int, default=100_000)
    given = parser.parse_args()
    start = time.process_time()
    read = store.read_results(given.results)
    print(f"read {len(read)} lines: {1e3 * (time.process_time() - start) / len(read):.2f} ms a line")
    results = list(repeated(read, given.number))
    random.Random(0).shuffle(results)
    start = time.process_time()
    board = leaderboard(results)
    print(f"{len(results)} results, {len(board)} rows: {time.process_time() - start:.1f} s")
    start = time.process_time()
    print(f"{len(overall(board))} rows across tasks: {time.process_time() - start:.1f} s")


if __name__ == "__main__":
    main()
