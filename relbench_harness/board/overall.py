"""Rankings across tasks, one per regime: mean ranks, win rates and Elo, from a leaderboard's ranks alone.

A task that a method failed or was not run on counts as lost to every method that has a score there. Elo is the
Bradley–Terry maximum on a scale where 400 points are odds of 10 to 1, centred on 1000, with an interval from resampling
tasks (as `bencheval` has it). Where some methods beat others on every task no such maximum exists, and no Elo is given.
Critical differences: Nemenyi's test as in Demšar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7
(2006).
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relbench_harness.board.elo import CENTRE, ratings, resampled
from relbench_harness.board.leaderboard import GROUP, UNKNOWN
from relbench_harness.protocol.metrics import PRIMARY

COLUMNS = (
    *("regime", "rank", "method", "mean_rank", "win_rate", "elo", "elo_low", "elo_high", "normalised"),
    *("tasks", "coverage", "seconds", "shared", "critical_difference"),
)
ROUNDS = 200
UNBOUNDED = 1200.0
"""Further than this from the centre (odds of 1000 to 1) a resampled rating counts as infinite."""


def of_several_tasks(board: pd.DataFrame) -> pd.DataFrame:
    """The rows of those regimes that have several tasks, which alone can be ranked across tasks."""
    return board[board["task"].groupby(board["regime"]).transform("nunique") > 1]


def overall(board: pd.DataFrame) -> pd.DataFrame:
    """One row per regime and method of a leaderboard with several methods, best mean rank first.

    Only results on known data in a task type's own metric, or of a board that has one metric, are ranked across tasks: another
    tool's metric, or data that nobody can name, would count as tasks that everybody else lost.

    `win_rate` is the share of the other methods beaten, ties as half, averaged over tasks; `coverage` the share of runs
    that scored, a task without any as 0; `seconds` the sum over tasks, and `shared` whether one of them was measured on a shared machine; `critical_difference` what two mean ranks must
    differ by to differ at the 5 % level (NaN below two tasks, as is Elo). `normalised` is the mean over tasks of that column of
    the board (see `normalised`), NaN for a method that has none on some task: nothing is put in place of a missing score.
    """
    parts = [_ranking(str(regime), part) for regime, part in _comparable(board).groupby("regime", sort=True)]
    parts = [part for part in parts if len(part) > 1]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS))


def win_matrix(board: pd.DataFrame, regime: str) -> pd.DataFrame:
    """Methods × methods: the share of tasks of `regime` on which the row's method beats the column's, ties as half.

    Methods stand in the order of `overall`; the diagonal is NaN. The mean of a row is that method's `win_rate`, and what two
    methods have of each other depends on no third.
    """
    board = board[board["regime"] == regime]
    order = in_order(board)
    if len(order) < 2:
        return pd.DataFrame()
    ranks = _standings(_comparable(board))[1].loc[order].to_numpy()
    wins = (ranks[:, None] < ranks[None]).mean(axis=2) + (ranks[:, None] == ranks[None]).mean(axis=2) / 2
    np.fill_diagonal(wins, math.nan)
    return pd.DataFrame(wins, index=order, columns=order)


def in_order(board: pd.DataFrame) -> list[str]:
    """The methods of the board of one regime as `overall` orders them; those without a row that is ranked across tasks are left out."""
    board = _comparable(board)
    if board.empty:
        return []
    mean = _standings(board)[1].mean(axis=1).rename_axis("method").rename("mean").reset_index()
    found: list[str] = mean.sort_values(["mean", "method"])["method"].tolist()
    return found


def _comparable(board: pd.DataFrame) -> pd.DataFrame:
    """The rows that are ranked across tasks."""
    own = {metric.name for metric in PRIMARY.values()}
    return board[(board["data"] != UNKNOWN) & (board["metric"].isin(own) | (board["metric"].nunique() == 1))]


def _standings(board: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Methods × tasks: each one's rank on the board, NaN where it has no row, and its rank among all, where failures are last."""
    lost = len(board) + 1.0
    wide = _wide(board, board["rank"].where(board["scored"] > 0, lost).astype("float64"))
    return wide, wide.fillna(lost).rank(axis=0, method="average")


def _ranking(regime: str, board: pd.DataFrame) -> pd.DataFrame:
    standings, ranks = _standings(board)
    methods, tasks = ranks.shape
    normalised = board["normalised"] if "normalised" in board else pd.Series(math.nan, board.index)
    frame = pd.DataFrame(
        {
            "regime": regime,
            "mean_rank": ranks.mean(axis=1),
            "win_rate": ((methods - ranks) / (methods - 1)).mean(axis=1) if methods > 1 else math.nan,
            **_elo(ranks),
            "normalised": _wide(board, normalised).mean(axis=1, skipna=False),
            "tasks": standings.notna().sum(axis=1),
            "coverage": _wide(board, board["coverage"]).fillna(0.0).mean(axis=1),
            "seconds": _wide(board, board["seconds"]).sum(axis=1),
            "shared": _wide(board, (board["shared"] == "yes").astype("float64")).max(axis=1) > 0,
            "critical_difference": critical_difference(methods, tasks),
        }
    )
    frame["rank"] = frame["mean_rank"].rank(method="min").astype("int64")
    ordered = frame.rename_axis("method").reset_index().sort_values(["rank", "method"], ignore_index=True)
    return ordered[list(COLUMNS)]


def _wide(board: pd.DataFrame, values: pd.Series[float]) -> pd.DataFrame:
    """Methods × tasks, NaN where a method has no row."""
    long = pd.DataFrame({"method": board["method"], "unit": board[GROUP].agg(" ".join, axis=1), "value": values})
    return long.pivot(index="method", columns="unit", values="value")


def _elo(ranks: pd.DataFrame) -> dict[str, pd.Series[float] | float]:
    """Ratings and their 95 % interval; NaN below two methods or two tasks and where no finite rating exists."""
    if min(ranks.shape) < 2 or _separable(ranks.to_numpy()):
        return {"elo": math.nan, "elo_low": math.nan, "elo_high": math.nan}
    wins = len(ranks) - ranks.to_numpy()
    rating = pd.Series(ratings(wins.sum(axis=1)[None, :], wins.shape[1])[0], ranks.index)
    # a resample without a finite maximum comes back as far out as the solver's ridge lets it
    low, high = (pd.Series(end, ranks.index) for end in np.quantile(resampled(wins, ROUNDS), [0.025, 0.975], axis=0))
    return {
        "elo": rating,
        "elo_low": low.where(low > CENTRE - UNBOUNDED, -math.inf),
        "elo_high": high.where(high < CENTRE + UNBOUNDED, math.inf),
    }


def _separable(ranks: NDArray[np.float64]) -> bool:
    """Whether the methods fall into groups of which one loses to the other on every task."""
    reached: NDArray[np.bool_] = np.asarray((ranks[:, None] <= ranks[None, :]).any(axis=2))
    for _ in range(len(ranks).bit_length()):
        # whom each beats, then whom those beat, doubling the length of the way
        reached = reached | (np.dot(reached.astype(np.float64), reached) > 0)
    return not reached.all()


def critical_difference(methods: int, tasks: int, alpha: float = 0.05) -> float:
    """What the mean ranks of two of `methods` over `tasks` must differ by (Nemenyi); NaN below two of either."""
    if min(methods, tasks) < 2:
        return math.nan
    return studentized_range(1 - alpha, methods) / math.sqrt(2) * math.sqrt(methods * (methods + 1) / (6 * tasks))


def studentized_range(share: float, samples: int) -> float:
    """The quantile of the range of `samples` independent standard normals (scipy's needs its largest package)."""
    from scipy.special import ndtr

    z = np.linspace(-9.0, 9.0, 1801)
    density, below = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi), ndtr(z)
    low, high = 0.0, 20.0
    while high - low > 1e-10:
        middle = (low + high) / 2
        inside = samples * float(np.sum(density * (below - ndtr(z - middle)) ** (samples - 1))) * (z[1] - z[0])
        low, high = (middle, high) if inside < share else (low, middle)
    return (low + high) / 2
