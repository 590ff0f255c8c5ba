"""How long the import of a PostgreSQL database takes, beside `COPY … TO STDOUT` of the same tables, and its peak memory.

    python benchmarks/importing.py postgresql://me:secret@localhost/shop [--times 3]

prints one JSON line per turn: seconds of both, their ratio, and megabytes. Each import is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from relbench_harness.authoring.new_dataset import Wanted, new_dataset
from relbench_harness.authoring.source_choice import open_source


def copied(uri: str) -> tuple[float, int]:
    """Seconds and bytes of copying every table to nowhere, by PostgreSQL's own client."""
    with open_source(uri).open() as reading:
        names = [table.name for table in reading.tables()]
    plain, _, schema = uri.partition("?schema=")
    prefix = f'"{schema}".' if schema else ""
    start, count = time.perf_counter(), 0
    for name in names:
        quoted = name.replace('"', '""')
        command = ["psql", plain, "-q", "-c", f'COPY {prefix}"{quoted}" TO STDOUT']
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            while piece := process.stdout.read(1 << 20):
                count += len(piece)
    return time.perf_counter() - start, count


def imported(uri: str) -> None:
    """Import once, and say how long it took and how much memory."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        made = new_dataset("shop", uri, Path(folder), Wanted())
        seconds = time.perf_counter() - start
    rows = sum(table.rows for table in made.written.values())
    print(json.dumps({"import_seconds": round(seconds, 2), "rows": rows, "peak_mb": round(peak_mb())}))


def peak_mb() -> float:
    """The most memory that this program held, in MiB. `ru_maxrss` counts the process that started it, too."""
    status = Path("/proc/self/status")
    if status.is_file():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("uri")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        imported(given.uri)
        return
    for _ in range(given.times):
        seconds, count = copied(given.uri)
        child = [sys.executable, __file__, given.uri, "--alone"]
        said = json.loads(subprocess.run(child, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        ratio = said["import_seconds"] / seconds
        print(
            json.dumps({**said, "copy_seconds": round(seconds, 2), "copy_mb": round(count / 1e6), "ratio": round(ratio, 2)})
        )


if __name__ == "__main__":
    main()
