"""A score that tasks share: where a method lies between the best constant answer (0) and the best known score (1).

Where the truth of a task is known, 1 is the score of the true answers; elsewhere it is the best score on the board or among
published rows of the same task, regime and metric, so it can fall when a better method is found. Nothing is cut off: a method that is worse than
a constant is below 0. Where no method `constant` was run there is no such score.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pandas as pd

from relbench_harness.board.leaderboard import GROUP, group_of

if TYPE_CHECKING:
    from relbench_harness.board.published import PublishedRow

CONSTANT = "constant"
"""The method whose score is 0."""


def with_normalised(board: pd.DataFrame, published: Iterable[PublishedRow] = ()) -> pd.DataFrame:
    """The leaderboard with the column `normalised`, NaN where there is none."""
    literature: dict[tuple[str, str, str], list[float]] = {}
    for row in published:
        literature.setdefault((row.task, row.regime, row.metric), []).append(row.value)
    scores = pd.Series(math.nan, board.index)
    for key, part in board.groupby(GROUP, sort=False):
        task, regime, _, metric = group_of(key)
        known = [*part["test"].dropna(), *literature.get((task, regime, metric), ())]
        least, most = _ends(part, known)
        if most != least:
            scores[part.index] = (part["test"] - least) / (most - least)
    return board.assign(normalised=scores)


def _ends(part: pd.DataFrame, known: list[float]) -> tuple[float, float]:
    """What counts as 0 and as 1 in one ranking."""
    if "way" in part and part["way"].notna().any():
        return float(part["constant"].iloc[0]), float(part["optimal"].iloc[0])
    names = part["method"].astype(str)
    constant = part.loc[(names == CONSTANT) | names.str.startswith(f"{CONSTANT} ("), "test"].dropna()
    if constant.empty:
        return math.nan, math.nan
    return float(constant.iloc[0]), max(known) if part["higher_is_better"].iloc[0] else min(known)
