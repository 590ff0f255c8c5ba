"""The pages of published boards are what their result lines give."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from relbench_harness.board import render, store
from relbench_harness.board.audits import read_reports
from relbench_harness.board.ceiling import COLUMNS as CEILINGS
from relbench_harness.board.leaderboard import leaderboard
from relbench_harness.board.normalised import with_normalised
from relbench_harness.board.page import page, published_board, published_rows
from relbench_harness.board.uncertainty import COLUMNS
from relbench_harness.errors import InputError
from relbench_harness.presets import method_names

ROOT = Path(__file__).parents[2] / "results"
BOARDS = sorted(path.parent.name for path in ROOT.glob("*/README.md") if path.parent.name not in ("published", "audit"))


def refuse(error: InputError) -> None:
    raise error


def test_there_are_boards() -> None:
    assert {"rel-f1", "rel-journey", "rel-nycflights", "rel-shop"} <= set(BOARDS)


@pytest.mark.parametrize("name", BOARDS)
def test_a_page_is_what_its_lines_give(name: str) -> None:
    """Intervals are read from the committed table, as the data may not be on this machine; the next test makes them again."""
    folder = ROOT / name
    results, published = store.read_results(folder), published_rows(folder)
    table = pd.read_csv(folder / "leaderboard.csv", float_precision="round_trip")
    board = leaderboard(results, read_reports(folder, refuse))
    assert board["method"].tolist() == table["method"].tolist()
    made_elsewhere = [name for name in (*CEILINGS, *COLUMNS) if name in table]
    board = with_normalised(board.join(table[made_elsewhere]), published)
    assert (folder / "README.md").read_text(encoding="utf-8") == page(name, board, results, published, method_names()), (
        f"make it again: relbench-harness board results/{name}"
    )
    assert (folder / "leaderboard.csv").read_text(encoding="utf-8") == render.csv(board)


@pytest.mark.slow
def test_intervals_of_a_page_are_what_its_predictions_give(real_data: Path) -> None:
    folder = ROOT / "rel-f1"
    table = pd.read_csv(folder / "leaderboard.csv", float_precision="round_trip")
    made = published_board(folder, store.read_results(folder))
    pd.testing.assert_frame_equal(made[list(COLUMNS)], table[list(COLUMNS)], check_dtype=False, rtol=1e-9)


def test_published_rows_are_marked_and_enter_no_ranking() -> None:
    text = (ROOT / "rel-f1" / "README.md").read_text(encoding="utf-8")
    assert text.count("**not rerun here**") == 6
    row = next(line for line in text.splitlines() if line.startswith("| RT-PluRel (fine-tuned) | roc"))
    assert "RelBench v3 leaderboard (2026-10)" in row
    assert "Ergast: non-commercial use" in text and "driver-circuit-compete" in text.split("## All tasks")[0]
    assert "RT-PluRel" not in (ROOT / "rel-f1" / "leaderboard.csv").read_text(encoding="utf-8")
