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

from relbench_harness.board.leaderboard import GROUP
from relbench_harness.board.published import PublishedRow, published_near
from relbench_harness.board.sheets import GAVE_WAY, TIED, gave_way

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
    for (task, regime, _, metric), group in board.groupby(GROUP, sort=True):
        of = {str(cells["method"]): cells for cells in group.to_dict("records")}
        higher = bool(group["higher_is_better"].iloc[0])
        known = [
            value.value for value in published if (value.task, str(value.regime), value.metric) == (task, regime, metric)
        ]
        optimal = float(group["optimal"].iloc[0]) if "optimal" in group else math.nan
        values = {name: _value(of.get(name, {})) for name in METHODS}
        best = _best([value for value in values.values() if not math.isnan(value)], higher)
        yield row(
            task,
            f"{metric} {'↑' if higher else '↓'}",
            regime,
            *(_cell(of.get(name, {}), values[name] == best) for name in METHODS),
            _number(_best(known, higher)),
            _number(optimal),
        )


def _best(values: Sequence[float], higher: bool) -> float:
    return (max if higher else min)(values, default=math.nan)


def _value(cells: Cells) -> float:
    return round(float(cells.get("test", math.nan)), 4)


def _cell(cells: Cells, best: bool) -> str:
    if math.isnan(_value(cells)):
        return ""
    signs = [TIED] if cells.get("tied") is True else []
    signs += [GAVE_WAY] if gave_way(cells) else []
    number = _number(_value(cells))
    return " ".join([f"**{number}**" if best else number, *signs])


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
