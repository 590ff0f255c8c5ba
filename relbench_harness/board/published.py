"""Rows of the literature, to stand beside measured ones: what somebody published, in which regime, and where.

Invariant: a published row is a type of its own. It is no `Result`, has no seconds, seeds or predictions, and enters no
ranking. Files are CSV with the columns `COLUMNS`; values are in the units of `protocol.metrics`, so shares are from 0 to 1.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from relbench_harness.board.weighted import MAKERS
from relbench_harness.errors import InputError, nearest, sentence
from relbench_harness.protocol.method import REGIMES, Regime

COLUMNS = ("method", "task", "metric", "value", "regime", "source")
METRICS = frozenset(metric for makers in MAKERS.values() for metric in makers)
UNBOUNDED = frozenset({"nmae", "mae", "rmse", "log_loss", "lift_1", "lift_5", "lift_10"})
"""Metrics of 0 and more. R² is at most 1, and every other metric is a share."""


@dataclass(frozen=True)
class PublishedRow:
    """One value of the literature, not rerun here.

    Attributes:
        task: `dataset/task`.
        value: In the units of `protocol.metrics`.
        source: Where it was published.
    """

    method: str
    task: str
    metric: str
    value: float
    regime: Regime
    source: str


def published_near(*folders: Path) -> list[PublishedRow]:
    """The rows in the folder `published` of the first of `folders` that has one; none where none has."""
    found = next((one for folder in folders if (one := folder / "published").is_dir()), None)
    return [] if found is None else read_published(found)


def read_published(folder: Path) -> list[PublishedRow]:
    """The rows of every CSV file in `folder`, in the order of the files' names.

    Raises:
        InputError: There is no such folder, a file cannot be read, or a line is no published row.
    """
    if not folder.is_dir():
        raise InputError(f"no folder of published rows {folder}")
    return [row for path in sorted(folder.glob("*.csv")) for row in read_published_file(path)]


def read_published_file(path: Path) -> list[PublishedRow]:
    """The rows of one CSV file with the columns `COLUMNS`.

    Raises:
        InputError: As `read_published`; the message names the file and the line.
    """
    return distinct((where, published_row(cells, where)) for where, cells in records(path, COLUMNS))


def distinct(rows: Iterable[tuple[str, PublishedRow]]) -> list[PublishedRow]:
    """The rows, each with where it stands, if none gives a second value for what another gives."""
    first: dict[PublishedRow, str] = {}
    found = []
    for where, row in rows:
        earlier = first.setdefault(replace(row, value=0.0), where)
        if earlier != where:
            raise InputError(f"{where} gives {row.metric} of {row.method!r} on {row.task} a second time, after {earlier}")
        found.append(row)
    return found


def records(path: Path, columns: Iterable[str]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """(where, cells by column) for every line of a CSV file that has at least `columns`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {sentence(error)}") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        headings = next(reader, [])
        if missing := [name for name in columns if name not in headings]:
            raise InputError(f"{path} lacks column {missing[0]!r}; {nearest(missing[0], headings)}")
        for cells in reader:
            where = f"{path}:{reader.line_num}"
            if not cells:
                continue
            if len(cells) != len(headings):
                raise InputError(f"{where} has {len(cells)} cells, but there are {len(headings)} columns")
            yield where, dict(zip(headings, (cell.strip() for cell in cells), strict=True))
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num} is no line of CSV: {error}") from None


def published_row(cells: Mapping[str, str], where: str) -> PublishedRow:
    """The row that text in `COLUMNS` gives.

    Raises:
        InputError: A cell is empty or means nothing here. The message begins with `where`.
    """
    if empty := [name for name in COLUMNS if not cells[name]]:
        raise InputError(f"{where} has no {empty[0]}")
    regime = next((known for known in REGIMES if known == cells["regime"]), None)
    if regime is None:
        raise InputError(f"{where} has regime {cells['regime']!r}; {nearest(cells['regime'], REGIMES)}")
    task, metric = cells["task"], cells["metric"]
    if not all(task.rpartition("/")[::2]):
        raise InputError(f"{where} has task {task!r}, which is not of the form dataset/task")
    return PublishedRow(cells["method"], task, metric, _value(metric, cells["value"], where), regime, cells["source"])


def _value(metric: str, text: str, where: str) -> float:
    if metric not in METRICS:
        raise InputError(f"{where} has metric {metric!r}; {nearest(metric, METRICS)}")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{where} has value {text!r}, which is no number")
    least, most = -math.inf if metric == "r2" else 0.0, math.inf if metric in UNBOUNDED else 1.0
    if not least <= value <= most:
        hint = "; a percentage is written as a share" if 1 < value <= 100 and metric != "r2" else ""
        raise InputError(f"{where} has {metric} {text}, which lies outside {least:g} to {most:g}{hint}")
    return value


def as_nmae(row: PublishedRow, scale: float) -> PublishedRow:
    """A row of MAE in the units of RelBench 3, by the standard deviation of the task's training labels.

    Raises:
        InputError: The row is of another metric, or the scale is no positive number.
    """
    if row.metric != "mae":
        raise InputError(f"{row.metric} of {row.method!r} on {row.task} is no MAE and has no NMAE")
    if not (math.isfinite(scale) and scale > 0):
        raise InputError(f"{row.task} has no scale of NMAE: its training labels have standard deviation {scale}")
    return replace(row, metric="nmae", value=row.value / scale, source=f"{row.source}; from MAE {row.value:g}")
