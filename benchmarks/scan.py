"""How long a sweep looks through a folder of finished runs before it begins.

    python benchmarks/scan.py [RESULTS]

Writes results of the size of real ones to a folder for temporary files, thirty tasks by ten methods, and scans them as a sweep does that
planned all of them, and as one that planned ten.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from relbench_harness.sweep.scan import scan

LINE = {
    "task": "rel-f1/driver-dnf",
    "method": "gnn",
    "status": "ok",
    "seconds_warm": {"total": 12.0},
    "config": {f"hyperparameter_{number}": number / 7 for number in range(80)},
    "versions": {f"package-{number}": "1.2.3" for number in range(15)},
}


def write(folder: Path, runs: int) -> list[str]:
    """Files of `runs` results; returns their identities."""
    line = json.dumps(LINE, sort_keys=True) + "\n"
    identities = [f"{number:032x}" for number in range(runs)]
    for number, identity in enumerate(identities):
        home = folder / f"dataset__task{number % 30}" / f"method{number // 30 % 10}"
        home.mkdir(parents=True, exist_ok=True)
        stem = f"frozen-seed0-{identity}-20260101T000000Z-{number:08x}"
        (home / f"{stem}.json").write_text(line)
        (home / f"{stem}.parquet").write_bytes(b"")
    return identities


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="?", type=int, default=10_000, help="how many results there are (10000)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        identities = write(Path(folder), given.results)
        for planned in (given.results, 10):
            wanted = set(identities[:planned])
            for _ in range(3):
                begin, cpu = time.perf_counter(), time.process_time()
                found = scan(Path(folder), wanted)
                seconds, spent = time.perf_counter() - begin, time.process_time() - cpu
                print(
                    f"{given.results} results, {planned} planned, {len(found)} found: {seconds:.2f} s, {spent:.2f} s of processor"
                )


if __name__ == "__main__":
    main()
