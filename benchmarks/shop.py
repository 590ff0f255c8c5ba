"""Builds rel-shop at a scale and says what it took: seconds by step, peak memory, rows, size on disk.

    python benchmarks/shop.py 100 [--workers 2] [--seed 0] [--folder FOLDER]

The database goes to FOLDER (default: a temporary one that is removed) as the cache would hold it.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from importlib import import_module
from pathlib import Path

from relbench_harness.data.adopt import adopt
from relbench_harness.data.dataset import open_dataset
from relbench_harness.data.script_file import load_script
from relbench_harness.home import home


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scale", type=float)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
        print(json.dumps(measure(given.scale, given.seed, given.workers, Path(scratch)), indent=1))


def measure(scale: float, seed: int, workers: int | None, folder: Path) -> dict[str, object]:
    """Draw and write a world, then take it over as the harness does."""
    script = load_script(home("datasets") / "rel-shop" / "build.py")
    world, settings = (import_module(f"{script.__name__}.{name}") for name in ("world", "settings"))
    begin = time.perf_counter()
    files = world.World(scale, seed, settings.chosen("all"), workers).write(folder)
    drawn = time.perf_counter()
    database = adopt(files, open_dataset("rel-shop").manifest.tables, "rel-shop")
    adopted = time.perf_counter()
    fingerprint = database.fingerprint
    done = time.perf_counter()
    processor = time.process_time()
    size = {part: sum(f.stat().st_size for f in folder.glob(part)) for part in ("*.arrow", "truth/*")}
    return {
        "scale": scale,
        "rows": sum(len(table) for table in database.values()),
        "tables": {name: len(table) for name, table in database.items()},
        "seconds": {
            "draw and write": round(drawn - begin, 1),
            "check": round(adopted - drawn, 1),
            "fingerprint": round(done - adopted, 1),
        },
        "seconds of processor time": round(processor, 1),
        # what was mapped from disk counts here too, as long as the system keeps it
        "peak resident megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "megabytes on disk": {part: value >> 20 for part, value in size.items()},
        "fingerprint": fingerprint,
    }


if __name__ == "__main__":
    main()
