"""What the pages are about: each ranking of the board with the results behind its rows and the published values beside it.

Invariant: rows stand as the board ranks them, those without a score last, and a published value is never one of them.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from relbench_harness.board.importance import Importance
from relbench_harness.board.leaderboard import GROUP, Group, Row, rows_of
from relbench_harness.board.published import PublishedRow
from relbench_harness.protocol.audit.report import AuditReport
from relbench_harness.protocol.result import Result


@dataclass(frozen=True)
class Line:
    """A row of the board.

    Attributes:
        name: What the board calls it: the method, with the settings in which it has several rows.
        cells: The columns of the board.
        results: The runs behind it, by seed.
    """

    name: str
    cells: Mapping[Hashable, Any]
    results: tuple[Result, ...]

    @property
    def method(self) -> str:
        return self.results[0].method

    @property
    def complete(self) -> bool:
        return int(self.cells["scored"]) == int(self.cells["runs"])

    def number(self, column: str) -> float:
        """The number in `column`, NaN where the board has none."""
        value = self.cells.get(column)
        return float(value) if isinstance(value, int | float) else math.nan


@dataclass(frozen=True)
class Ranking:
    """What is ranked together: one task, regime, version of the data and metric.

    Attributes:
        published: Values of the literature in the same regime and metric.
        other_metrics: How many more there are in other metrics.
    """

    task: str
    task_type: str
    regime: str
    data: str
    metric: str
    higher_is_better: bool
    lines: tuple[Line, ...]
    published: tuple[PublishedRow, ...] = ()
    other_metrics: int = 0

    @property
    def dataset(self) -> str:
        return self.task.rpartition("/")[0] or self.task

    @property
    def group(self) -> Group:
        return self.task, self.regime, self.data, self.metric

    @property
    def scored(self) -> tuple[Line, ...]:
        return tuple(line for line in self.lines if math.isfinite(line.number("test")))


@dataclass(frozen=True)
class Material:
    """All that a site is made of.

    Attributes:
        board: The leaderboard.
        files: `id` of a result → the file that it was read from.
        importances: What methods look at, where that was explained.
    """

    board: pd.DataFrame
    rankings: tuple[Ranking, ...]
    results: Sequence[Result]
    files: Mapping[int, Path]
    reports: Sequence[AuditReport]
    importances: Sequence[Importance] = ()

    @property
    def tasks(self) -> dict[str, list[Ranking]]:
        """Task → its rankings, both in the order of the board."""
        found: dict[str, list[Ranking]] = {}
        for ranking in self.rankings:
            found.setdefault(ranking.task, []).append(ranking)
        return found

    @property
    def methods(self) -> dict[str, list[tuple[Ranking, Line]]]:
        """Method → its rows, by name."""
        found: dict[str, list[tuple[Ranking, Line]]] = {}
        for ranking in self.rankings:
            for line in ranking.lines:
                found.setdefault(line.method, []).append((ranking, line))
        return dict(sorted(found.items()))

    def predictions_of(self, result: Result) -> Path | None:
        """Where the predictions of `result` lie, if they are there."""
        file = self.files.get(id(result))
        path = None if file is None or not result.predictions else file.with_name(Path(result.predictions).name)
        return path if path is not None and path.is_file() else None


def rankings(board: pd.DataFrame, results: Iterable[Result], published: Iterable[PublishedRow]) -> tuple[Ranking, ...]:
    """The rankings of `board`, which is the leaderboard of `results`."""
    behind = {(row.group, row.method): row for row in rows_of(results)}
    beside: dict[tuple[str, str], list[PublishedRow]] = {}
    for row in published:
        beside.setdefault((row.task, str(row.regime)), []).append(row)
    found = []
    for key, group in board.groupby(GROUP, sort=True):
        task, regime, data, metric = map(str, key)
        lines = tuple(_line(cells, behind) for cells in group.to_dict("records"))
        values = beside.get((task, regime), [])
        higher = bool(group["higher_is_better"].iloc[0])
        same = sorted((v for v in values if v.metric == metric), key=lambda v: (-v.value if higher else v.value, v.method))
        kind = lines[0].results[0].task_type
        others = len(values) - len(same)
        found.append(Ranking(task, kind, regime, data, metric, higher, lines, tuple(same), others))
    return tuple(found)


def _line(cells: Mapping[Hashable, Any], behind: Mapping[tuple[Group, str], Row]) -> Line:
    task, regime, data, metric = (str(cells[column]) for column in GROUP)
    row = behind[(task, regime, data, metric), str(cells["method"])]
    results = sorted((entry.result for entry in row.members), key=lambda result: result.seed)
    return Line(row.method, cells, tuple(results))
