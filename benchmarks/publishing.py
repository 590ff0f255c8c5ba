"""Seconds to publish 100,000 result lines as a site, made by repeating those of a folder with other seeds and tasks.

The lines stand in one file without predictions, so intervals and the drawing of curves, which grow with predictions and not with lines, are left out.

python benchmarks/publishing.py results/rel-f1
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from ranking import repeated

from relbench_harness.board import store
from relbench_harness.site.publish import publish


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--number", type=int, default=100_000)
    given = parser.parse_args()
    results = list(repeated(store.read_results(given.results), given.number))
    with tempfile.TemporaryDirectory() as scratch:
        lines = Path(scratch) / "board" / "lines.jsonl"
        lines.parent.mkdir()
        with lines.open("w", encoding="utf-8") as file:
            for one in results:
                file.write(replace(one, predictions=None, identity="").to_json() + "\n")
        start, clock = time.process_time(), time.monotonic()
        pages = publish(lines.parent, Path(scratch) / "site", lambda error: print(error))
        print(
            f"{len(results)} lines, {pages} pages: {time.process_time() - start:.1f} s of the processor, "
            f"{time.monotonic() - clock:.1f} s of the clock"
        )


if __name__ == "__main__":
    main()
