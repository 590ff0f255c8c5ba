"""What a killed process leaves of a run beside its mark: temporary files, and predictions that no result names.

Invariant: only who has the run's mark clears, and only files that carry the run's identity or the dead process's number.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from relbench_harness.board.store import STARTED, home_of
from relbench_harness.data.writing import partials_of
from relbench_harness.sweep.claims import Mark
from relbench_harness.sweep.plan import Entry


def clear(run: Entry, folder: Path, dead: Iterable[Mark]) -> None:
    """Removes what the processes of the `dead` marks left of `run` in the results folder."""
    home = home_of(run.task, run.method, folder)
    processes = {mark.owner.pid for mark in dead if mark.owner is not None}
    left = [path for pid in processes for place in (home, folder / STARTED) for path in place.glob(f"{partials_of(pid)}*")]
    # predictions are written before the result that names them
    left += [path for path in home.glob(f"*{run.identity}*.parquet") if not path.with_suffix(".json").exists()]
    for path in left:
        with suppress(OSError):
            path.unlink()
