"""What the main methods reach on every task of the published boards, and on the real databases that are not shipped.

    python docs/quality.py --into docs/results.md

reads the `leaderboard.csv` of each board and writes one table between the marks of the page; without `--into` it prints it.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from page_marks import put_between, row

from relbench_harness.board.published import PublishedRow, published_near
from relbench_harness.board.score_table import score_tables
from relbench_harness.board.sheets import signs

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = (*(f"results/{name}" for name in ("rel-f1", "rel-journey", "rel-nycflights", "rel-shop")), "docs/real-data")
METHODS = ("label_history", "lightgbm_simple", "sql_xgboost", "xgboost_dfs", "xgboost_tuned", "gnn", "hybrid", "auto")
BEGIN, END = "<!-- made by docs/quality.py -->", "<!-- end of what docs/quality.py makes -->"
Cells = Mapping[Hashable, Any]


def table(root: Path = ROOT) -> str:
    """A line for each task and regime."""
    published = published_near(root / "results")
    lines = [row("task", "metric", "regime", *(f"`{name}`" for name in METHODS), "published", "optimal"), "|" + "---|" * 13]
    boards = [pd.read_csv(file) for name in FOLDERS if (file := root / name / "leaderboard.csv").is_file()]
    for board in boards:
        lines += _lines(board, published)
    for regime, of_regime in pd.concat(boards).groupby("regime", sort=True):
        shares = (_level(of_regime[of_regime["method"] == name]) for name in METHODS)
        lines.append(row("level with the best", "", regime, *shares, "", ""))
    return "\n".join(lines)


def _level(rows: pd.DataFrame) -> str:
    """On how many tasks a method is not shown to differ from the best, of those on which it was compared."""
    compared = rows["tied"].notna()
    return f"{int((rows['tied'][compared] == True).sum())} of {int(compared.sum())}"  # noqa: E712


def _lines(board: pd.DataFrame, published: Sequence[PublishedRow]) -> Iterator[str]:
    tables = score_tables(board[board["method"].isin(METHODS)])
    of_group = {group: table for table in tables for group in table.groups}
    for group, scores in sorted(of_group.items(), key=lambda one: one[0]):
        task, regime, _, metric = group
        higher = scores.higher_is_better(group)
        known = [
            value.value for value in published if (value.task, str(value.regime), value.metric) == (task, regime, metric)
        ]
        best = dict(zip(scores.methods, scores.best(group), strict=True))
        yield row(
            task,
            f"{metric} {'↑' if higher else '↓'}",
            regime,
            *(_cell(scores.rows.get((name, group), {}), best.get(name, False)) for name in METHODS),
            _number((max if higher else min)(known, default=math.nan)),
            _number(scores.optimal.get(group, math.nan)),
        )


def _cell(cells: Cells, best: bool) -> str:
    number = _number(float(cells.get("test", math.nan)))
    return " ".join([f"**{number}**" if best else number, *signs(cells)]) if number else ""


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, help="the page that holds the two marks")
    given = parser.parse_args()
    if given.into is None:
        print(table())
    else:
        put_between(given.into, BEGIN, END, table())


if __name__ == "__main__":
    main()
