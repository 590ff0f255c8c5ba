"""What people read: nothing of the leaderboard is lost on the way to the terminal, Markdown, CSV or a picture."""

from __future__ import annotations

import io
import re
import xml.dom.minidom
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from relbench_harness.board import render
from relbench_harness.board.leaderboard import leaderboard
from relbench_harness.protocol.result import Result

Make = Callable[..., Result]


@pytest.fixture
def results(result: Make) -> list[Result]:
    machine = {"cpu": "Abacus 3", "gpu": None}
    return [
        result("gnn", 0.8125, machine=machine),
        result("gnn", 0.8375, seed=1, machine=machine),
        result("a|b_c", 0.6),
        result("broken", None, status="timeout", error="TimeoutError: after [5] s"),
        result("gnn", 0.7, task="rel-f1/driver-top3"),
        result("a|b_c", 0.8, task="rel-f1/driver-top3"),
    ]


def printed(results: list[Result], width: int, terminal: bool) -> str:
    out = io.StringIO()
    render.show(leaderboard(results), Console(file=out, width=width, force_terminal=terminal, no_color=True))
    return re.sub(r"\x1b\[[\d;]*m", "", out.getvalue())


def test_the_terminal_shows_every_row(results: list[Result]) -> None:
    text = printed(results, 160, terminal=False)
    for part in (
        "rel-f1/driver-dnf, frozen: roc_auc (higher is better)", "0.8250 ± 0.0177", "0.7250 ± 0.0177", "2/2", "0/1",
        "timeout", "0 + 10", "Run on Abacus 3.", "broken failed: TimeoutError: after [5] s", "All tasks, frozen",
        "the harness that all share has 1,000", "fitted on", "Nemenyi",
    ):  # fmt: skip
        assert part in text
    lines = text.splitlines()
    (row,) = [line for line in lines if "0.8250" in line]
    assert row.split()[:2] == ["1", "gnn"]


def test_a_file_gets_whole_lines_and_a_narrow_terminal_fewer_columns(results: list[Result]) -> None:
    assert printed(results, 40, terminal=False).count("0.8250 ± 0.0177") == 1
    narrow = printed(results, 80, terminal=True)
    assert "0.8250 ± 0.0177" in narrow and "status" in narrow and "warm" not in narrow
    tables = [line for line in narrow.splitlines() if "failed:" not in line and "harness" not in line]
    assert max(len(line.rstrip()) for line in tables) <= 80


def test_markdown(results: list[Result]) -> None:
    text = render.markdown(leaderboard(results))
    lines = text.splitlines()
    assert lines[0] == r"## rel-f1/driver-dnf, frozen: roc\_auc (higher is better)"
    assert lines[4] == "| 1 | gnn | 0.8250 ± 0.0177 | 0.7250 ± 0.0177 | 2.0 | 1.5 | 100 | 0 + 10 | 2/2 | train | ok |"
    assert lines[5] == r"| 2 | a\|b\_c | 0.6000 | 0.5000 | 2.0 | 1.5 | 100 | 0 + 10 | 1/1 | train | ok |"
    assert lines[6] == "| 3 | broken | – | – | 2.0 | 1.5 | 100 | 0 + 10 | 0/1 | train | timeout |"
    assert "## All tasks, frozen" in lines


def test_versions_of_the_data_are_told_apart(result: Make) -> None:
    board = leaderboard([result("a"), result("a", dataset_fingerprint="bbbbbbbbbbbb")])
    assert [sheet.title for sheet in render.sheets(board)] == [
        "rel-f1/driver-dnf, frozen, data aaaaaaaa: roc_auc (higher is better)",
        "rel-f1/driver-dnf, frozen, data bbbbbbbb: roc_auc (higher is better)",
    ]


def test_csv_has_every_column_unrounded(results: list[Result]) -> None:
    board = leaderboard(results)
    read = pd.read_csv(io.StringIO(render.csv(board)))
    assert list(read.columns) == list(board.columns)
    assert read["test"].tolist()[:2] == board["test"].tolist()[:2]


def test_an_empty_board_shows_nothing() -> None:
    assert render.sheets(leaderboard([])) == [] and render.markdown(leaderboard([])) == ""


def test_files_are_made_anew(tmp_path: Path, results: list[Result]) -> None:
    for some in (results[:1], results):
        made = render.write(leaderboard(some), tmp_path / "new")
        assert [path.suffix for path in made] == [".md", ".csv", ".tex", ".html"]
        assert [path.read_text() for path in made] == [make(leaderboard(some)) for _, make in render.FORMATS.values()]


def test_the_picture_shows_the_board_and_fetches_nothing(results: list[Result]) -> None:
    text = render.svg(leaderboard(results))
    xml.dom.minidom.parseString(text)
    assert "0.8250" in text and "url(" not in text.replace("url(#", "")


def test_sheets_of_unknown_data_and_of_other_metrics_say_so(result: Make) -> None:
    board = leaderboard([
        result("ours", 0.7), result("theirs", 0.9, dataset_fingerprint=""),
        result("others", 3.7, metric="mae", higher_is_better=False, scores={"test": {"mae": 3.7}}),
    ])  # fmt: skip
    titles = {sheet.title: [row[1] for row in sheet.rows] for sheet in render.sheets(board)}
    assert titles == {
        "rel-f1/driver-dnf, frozen, data aaaaaaaa: roc_auc (higher is better)": ["ours"],
        "rel-f1/driver-dnf, frozen, data aaaaaaaa: mae (lower is better)": ["others"],
        "rel-f1/driver-dnf, frozen, unknown data: roc_auc (higher is better)": ["theirs"],
    }


@pytest.mark.parametrize("odd", ["\x1b[31mred\x1b[0m", "half \ud800 a sign", "bell \x07", "two\nlines"])
def test_signs_that_nothing_shows_spoil_no_medium(tmp_path: Path, result: Make, odd: str) -> None:
    board = leaderboard([result(), result(f"m {odd}"), result("b", None, error=odd)])
    out = io.BytesIO()
    file = io.TextIOWrapper(out, encoding="utf-8")
    render.show(board, Console(file=file))
    file.flush()
    render.write(board, tmp_path)
    assert xml.dom.minidom.parseString(render.svg(board)).documentElement is not None
    for text in (out.getvalue().decode("utf-8"), (tmp_path / "leaderboard.md").read_text(encoding="utf-8")):
        assert "failed" in text and not set(text) & {"\x1b", "\x07"}
    assert len(pd.read_csv(tmp_path / "leaderboard.csv")) == 3
