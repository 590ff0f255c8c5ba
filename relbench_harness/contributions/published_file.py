"""Published rows from the files of other benchmarks, as a CSV file that boards and sites show beside measured ones.

Invariant: nothing is fetched. A value of MAE becomes NMAE where the data of its task are here; elsewhere it stays MAE, and that is said.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path

from relbench_harness.board.imports import relarena_rows, relbench_entries, relbench_rows
from relbench_harness.board.predictions import stages_here
from relbench_harness.board.published import COLUMNS, PublishedRow, as_nmae
from relbench_harness.data.writing import write_whole
from relbench_harness.errors import InputError, nearest
from relbench_harness.protocol.method import REGIMES, Regime


def import_published(file: Path, to: Path, source: str, regimes: Sequence[str] = ()) -> Iterator[str]:
    """Writes the rows of RelArena's result CSV, or of RelBench's leaderboard as JSON, to the new file `to`; yields what is to be said.

    Args:
        source: Where the values were published.
        regimes: `ENTRY=frozen` or `ENTRY=rolling` for each entry of RelBench's leaderboard that is wanted.

    Raises:
        InputError: The file is none of these, an entry or a regime is not known, or there is a file `to`.
    """
    if to.suffix != ".csv":
        raise InputError(f"published rows are CSV, so --to names a file .csv, not {to}")
    if to.exists():
        raise InputError(f"{to} is there already; name a new file")
    if file.suffix == ".json":
        rows = relbench_rows(file, _chosen(file, regimes), source)
    elif regimes:
        raise InputError("--regime is for RelBench's leaderboard, a JSON file; RelArena's results are all frozen")
    else:
        rows = relarena_rows(file, source)
    said: list[str] = []
    converted = list(_in_our_units(rows, said))
    write_whole(to, as_csv(converted))
    yield from said
    yield f"wrote {len(rows)} published row{'' if len(rows) == 1 else 's'} to {to}; none is rerun, and no ranking holds them"


def as_csv(rows: Iterable[PublishedRow]) -> str:
    """The text of a file that `board.published.read_published_file` reads."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(astuple(row) for row in rows)
    return text.getvalue()


def _chosen(file: Path, regimes: Sequence[str]) -> Mapping[str, Regime]:
    known, chosen = relbench_entries(file), dict[str, Regime]()
    if not regimes:
        raise InputError(
            f"{file} does not say how late a cut-off lies; name entries as --regime 'ENTRY=frozen' or 'ENTRY=rolling'. "
            f"Entries: {', '.join(known)}"
        )
    for one in regimes:
        entry, _, wanted = one.rpartition("=")
        if entry not in known:
            raise InputError(f"{file} has no entry {entry!r}; {nearest(entry, known)}")
        regime = next((name for name in REGIMES if name == wanted), None)
        if regime is None:
            raise InputError(f"--regime {one!r} names no regime; {nearest(wanted, REGIMES)}")
        chosen[entry] = regime
    return chosen


def _in_our_units(rows: Iterable[PublishedRow], said: list[str]) -> Iterator[PublishedRow]:
    """The rows, MAE as NMAE where that can be had; why it cannot is added to `said`."""
    scales: dict[str, float | str] = {}
    for row in rows:
        if row.metric != "mae":
            yield row
            continue
        if row.task not in scales:
            stages = stages_here(row.task, "")
            scales[row.task] = stages if isinstance(stages, str) else stages.scale
            if isinstance(stages, str):
                said.append(f"{row.task} stays MAE, which stands beside no NMAE: {stages}")
        scale = scales[row.task]
        yield row if isinstance(scale, str) else as_nmae(row, scale)
