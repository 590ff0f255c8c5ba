"""How sure a leaderboard's scores are: intervals, and differences to one method, from the predictions stored beside results.

Invariants: a row has an interval only if the predictions of every run that its score is the mean of are there and give that
score again, and if the data that they are about lie on this machine; nothing is fetched to find out. Every method is
resampled once. The interval of a row depends on its own predictions alone.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relbench_harness.board.intervals import DRAWS, Interval, Resamples, interval_of, resampled
from relbench_harness.board.leaderboard import GROUP, Group, Row, group_of, rows_of
from relbench_harness.board.paired import Difference, all_compared, in_words
from relbench_harness.board.predictions import SplitLabels, labels_here, predictions_for, read_predictions
from relbench_harness.errors import InputError, ResultWarning, nearest
from relbench_harness.protocol.result import Result

COLUMNS = (
    *("low", "high", "entities", "examples", "tied"),
    *("against", "difference", "difference_low", "difference_high", "p", "verdict"),
)
"""What `with_uncertainty` adds to a leaderboard."""
TOLERANCE = 1e-9
"""How far a score made again may lie from the mean on the board, relative to it where it is above 1."""


class Against(NamedTuple):
    """A row's difference to another row, called `method`, and the same in words."""

    method: str
    difference: Difference
    verdict: str


def with_uncertainty(
    board: pd.DataFrame,
    folder: Path,
    results: Iterable[Result],
    against: str | None = None,
    draws: int = DRAWS,
    known: Mapping[tuple[Group, str], Resamples] | None = None,
) -> pd.DataFrame:
    """The leaderboard of `results` with the columns `COLUMNS`; NaN or None where nothing can be said.

    `low` and `high` are the ends of the 95 % interval of `test`, over `entities` with `examples`. `difference` is what a
    method's `test` differs by from that of the method in `against` (the best of the ranking unless one is chosen), with its
    95 % interval, `p` corrected by Holm's method for how many are compared in the ranking, and the sentence `verdict`.
    `tied` says that no difference to the best of the ranking is shown; the best itself is tied.

    Args:
        folder: Where the results and their predictions lie.
        against: A method, or a row where the method has several.
        known: What `row_resamples` gives, where that has been made.

    Raises:
        InputError: There is no such method, or it has several rows in one ranking.
    """
    rows = rows_of(results)
    chosen = _chosen(rows, against) if against is not None else {}
    known = _resampled(folder, rows, draws) if known is None else known
    found: dict[int, dict[str, Any]] = {}
    for key, part in board.groupby(GROUP, sort=False):
        group = group_of(key)
        names = [str(name) for name in part["method"]]
        made = {name: known[group, name] for name in names if (group, name) in known}
        higher = bool(part["higher_is_better"].iloc[0])
        to_best = _compared(names[0], made, higher)
        reference = to_best if against is None else _compared(chosen.get(group, ""), made, higher)
        for index, name in zip(part.index, names, strict=True):
            if name in made:
                tied = name == names[0] or (name in to_best and not to_best[name].difference.shown)
                found[int(index)] = {**_ends(interval_of(made[name])), "tied": tied, **_cells(reference.get(name))}
    added = pd.DataFrame.from_dict(found, orient="index", columns=list(COLUMNS)).reindex(board.index)
    added["tied"] = added["tied"].eq(True)
    return board.join(added.astype({name: "float64" for name in COLUMNS if name not in ("tied", "against", "verdict")}))


def _ends(interval: Interval) -> dict[str, Any]:
    return {"low": interval.low, "high": interval.high, "entities": interval.entities, "examples": interval.examples}


def _cells(found: Against | None) -> dict[str, Any]:
    if found is None:
        return {}
    there = found.difference
    return {
        "against": found.method,
        "difference": there.difference,
        "difference_low": there.low,
        "difference_high": there.high,
        "p": there.corrected,
        "verdict": found.verdict,
    }


def _compared(reference: str, made: Mapping[str, Resamples], higher_is_better: bool) -> dict[str, Against]:
    """Every other method's difference to `reference`, corrected for their number; none if that one has no predictions."""
    if reference not in made:
        return {}
    found = all_compared(reference, made)
    return {name: Against(reference, there, in_words(there, higher_is_better)) for name, there in found.items()}


def _chosen(rows: Sequence[Row], name: str) -> dict[Group, str]:
    """The row called `name`, or of the method called `name`, in each ranking that has one."""
    exact = any(row.method == name for row in rows)
    chosen: dict[Group, str] = {}
    for row in rows:
        if name != (row.method if exact else row.members[0].result.method):
            continue
        if chosen.setdefault(row.group, row.method) != row.method:
            raise InputError(f"method {name!r} has several rows to compare with; name one of them, such as {row.method!r}")
    if not chosen:
        known = {called for row in rows for called in (row.method, row.members[0].result.method)}
        raise InputError(f"there is no method {name!r} to compare with; {nearest(name, known)}")
    return chosen


# -- from results to resamples ----------------------------------------------------------------------------------------------


def row_resamples(
    folder: Path, results: Iterable[Result], draws: int = DRAWS, missing: Callable[[str], None] = lambda _: None
) -> dict[tuple[Group, str], Resamples]:
    """(ranking, row) → the resamples of its runs, for those rows of the leaderboard of `results` that have an interval.

    Args:
        folder: Where the results and their predictions lie.
        missing: Is called with a sentence for each reason why tasks whose predictions are there have no intervals.
    """
    return _resampled(folder, rows_of(results), draws, missing)


def _resampled(
    folder: Path, rows: Iterable[Row], draws: int, missing: Callable[[str], None] = lambda _: None
) -> dict[tuple[Group, str], Resamples]:
    """(ranking, row) → the resamples of its runs, where all of their predictions can be had."""
    files = {path.name: path for path in sorted(folder.rglob("*.parquet"))} if folder.is_dir() else {}
    groups: dict[Group, list[tuple[str, list[Path], list[Result]]]] = {}
    for row in rows:
        good = [entry.result for entry in row.members if entry.scored]
        paths = [files[str(one.predictions)] for one in good if one.predictions in files]
        if good and len(paths) == len(good):
            groups.setdefault(row.group, []).append((row.method, paths, good))
    labels: dict[tuple[str, str], SplitLabels | str] = {}
    found = {}
    for group, several in groups.items():
        task, _, data, metric = group
        if (task, data) not in labels:
            labels[task, data] = labels_here(task, data)
        examples = labels[task, data]
        if not isinstance(examples, str):
            found.update({(group, name): one for name, one in _of_group(metric, examples, several, draws).items()})
    reasons: dict[str, set[str]] = {}
    for (task, _), examples in labels.items():
        if isinstance(examples, str):
            reasons.setdefault(examples, set()).add(task)
    for why, tasks in reasons.items():
        missing(f"no intervals for {min(tasks)}{'' if len(tasks) == 1 else f' and {len(tasks) - 1} more'}: {why}")
    return found


def _of_group(
    metric: str, examples: SplitLabels, rows: Sequence[tuple[str, list[Path], list[Result]]], draws: int
) -> dict[str, Resamples]:
    """Row → its resamples; all runs of a ranking are resampled together, for the draws are the same."""
    runs: dict[str, list[NDArray[np.generic]]] = {}
    for name, paths, results in rows:
        try:
            read = [predictions_for(read_predictions(path), "test", examples, str(path)) for path in paths]
            for path, run, result in zip(paths, read, results, strict=True):
                again = examples.score(run).get(metric, math.nan)
                if not math.isclose(again, result.score, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
                    raise InputError(f"{path}: {metric} is stored as {result.score!r}, but its predictions give {again!r}")
        except InputError as error:
            warnings.warn(f"{name} on {examples.task.id} has no interval: {error}", ResultWarning, stacklevel=2)
            continue
        runs[name] = read
    if not runs:
        return {}
    made = resampled(metric, examples, [run for several in runs.values() for run in several], draws)
    ends = np.cumsum([len(several) for several in runs.values()])
    parts = zip(np.split(made.actual, ends[:-1]), np.split(made.drawn, ends[:-1]), strict=True)
    return {name: made._replace(actual=actual, drawn=drawn) for name, (actual, drawn) in zip(runs, parts, strict=True)}
