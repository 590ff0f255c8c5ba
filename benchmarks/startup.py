"""What commands cost before they do their work: processor seconds and imported modules, beside a bare interpreter's.

    python benchmarks/startup.py [--repeats 3] [--results FOLDER]

Seconds are the least of several runs of each command in a process of its own, user and system time of it and its children;
`×` says how many bare interpreters that is, which differs less from machine to machine. For `run`, the second figure is
what has passed when its first line is said (`-v`). The first run of each command warms the disk and is not counted.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HEAVY = ("numpy", "pandas", "pyarrow", "scipy", "sklearn", "duckdb", "hydra", "numba", "torch", "xgboost", "lightgbm")
TASK = "task=rel-nycflights/plane-churn"
COMMANDS = {
    "bare interpreter": None,
    "--help": ["--help"],
    "list methods": ["list", "methods"],
    "list datasets": ["list", "datasets"],
    "list tasks": ["list", "tasks"],
    "run, unknown method": ["run", TASK, "method=constnt"],
    "run, unknown task": ["run", "task=rel-nycflights/plane-chrn", "method=constant"],
    "run, unknown key": ["run", TASK, "method=constant", "sed=1"],
    "rank --no-intervals, 100 results": ["rank", "{results}", "--no-intervals"],
    "run": ["-v", "run", TASK, "method=constant", "resume=false", "results_dir={scratch}"],
}
PROBE = """
import os, resource, sys, time
if len(sys.argv) > 1:
    class First:
        said = None
        def __init__(self, to): self.to = to
        def write(self, text):
            if First.said is None and text.strip(): First.said = time.process_time()
            return self.to.write(text)
        def __getattr__(self, name): return getattr(self.to, name)
    sys.stderr, sys.stdout = First(sys.stderr), First(sys.stdout)
    from relbench_harness.cli import main
    try: main(sys.argv[1:])
    except SystemExit: pass
    first = First.said
else: first = None
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
spent = sum(one.ru_utime + one.ru_stime for one in used)
with open(os.environ["PROBE"], "w") as file:
    print(spent, first or spent, len(sys.modules), *sorted(m for m in sys.modules if "." not in m), file=file)
"""


@dataclass(frozen=True)
class Cost:
    """Processor seconds of a command, those up to its first line, and the modules it imported."""

    seconds: float
    first_line: float
    modules: int
    heavy: tuple[str, ...]


def cost(arguments: Sequence[str] | None, repeats: int) -> Cost:
    """The least cost of a command over `repeats` runs after one that warms the disk."""
    found = [_once(arguments) for _ in range(repeats + 1)][1:]
    return min(found, key=lambda one: one.seconds)


def _once(arguments: Sequence[str] | None) -> Cost:
    with tempfile.NamedTemporaryFile("r") as file:
        subprocess.run(
            [sys.executable, "-c", PROBE, *(arguments or [])],
            env={**os.environ, "PROBE": file.name},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        seconds, first, modules, *names = file.read().split()
    return Cost(float(seconds), float(first), int(modules), tuple(name for name in HEAVY if name in names))


def a_hundred_results(folder: Path) -> None:
    """Two tasks, two methods, 25 seeds."""
    sweep = ["task=rel-nycflights/plane-churn,rel-nycflights/plane-airport", "method=constant,label_history"]
    seeds = f"seed={','.join(map(str, range(25)))}"
    command = [sys.executable, "-m", "relbench_harness.cli", "run", "-m", *sweep, seeds, f"results_dir={folder}"]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--results", type=Path, help="a folder of results to rank; made where it is not named")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        results = given.results or Path(scratch) / "hundred"
        if given.results is None:
            a_hundred_results(results)
        bare = cost(None, given.repeats)
        print(f"{'command':22} {'seconds':>8} {'×':>6} {'first line':>11} {'modules':>8}  heavy")
        for name, command in COMMANDS.items():
            words = command and [word.format(results=results, scratch=Path(scratch) / "runs") for word in command]
            one = cost(words, given.repeats)
            ratio = one.seconds / bare.seconds
            heavy = " ".join(one.heavy)
            print(f"{name:22} {one.seconds:8.2f} {ratio:6.1f} {one.first_line:11.2f} {one.modules:8}  {heavy}", flush=True)


if __name__ == "__main__":
    main()
