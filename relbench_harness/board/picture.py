"""Draws the leaderboard of a results folder: `python -m relbench_harness.board.picture RESULTS FILE.svg`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from relbench_harness.board.leaderboard import leaderboard
from relbench_harness.board.render import svg
from relbench_harness.board.store import read_results


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    results, picture = map(Path, arguments)
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_text(svg(leaderboard(read_results(results))), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
