"""What the board says of cost: cold seconds, seconds relative to an anchor, and which were measured on a shared machine."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from relbench_harness.board import render, sheets, store
from relbench_harness.board.leaderboard import leaderboard
from relbench_harness.board.overall import overall
from relbench_harness.cli import main
from relbench_harness.errors import InputError
from relbench_harness.notebook import leaderboard as in_a_notebook
from relbench_harness.protocol.result import Outcome, Result

Make = Callable[..., Result]
FAST, SLOW = {"cpu": "Abacus 3", "memory_mb": 8}, {"cpu": "Abacus 1", "memory_mb": 8}


def taking(total: float, warm: float | None = None) -> dict[str, Any]:
    return {"seconds": {"total": total}, "seconds_warm": {"total": total if warm is None else warm}}


def ratios(results: list[Result], anchor: str | None) -> dict[str, float]:
    board = leaderboard(results, anchor=anchor)
    return dict(zip(board["method"], board["seconds_vs_anchor"].round(6), strict=True))


def test_seconds_are_relative_to_the_anchors_on_the_same_machine(result: Make) -> None:
    results = [
        result("base", machine=FAST, **taking(2.0)), result("base", machine=SLOW, seed=1, **taking(8.0)),
        result("base", machine=SLOW, seed=2, **taking(12.0)),
        # three times the anchor's on either machine
        result("gnn", machine=FAST, **taking(6.0)), result("gnn", machine=SLOW, seed=1, **taking(30.0)),
        # the cores of a job are no other machine
        result("trees", machine={**FAST, "cores": 2}, **taking(1.0)),
    ]  # fmt: skip
    assert ratios(results, "base") == {"base": 1.0, "gnn": 3.0, "trees": 0.5}
    board = leaderboard(results, anchor="base").set_index("method")
    assert board["seconds"]["gnn"] == 18.0 and set(board["anchor"]) == {"base"}
    assert all(map(math.isnan, ratios(results, None).values()))
    assert list(in_a_notebook(results, anchor="base")["seconds_vs_anchor"]) == list(board["seconds_vs_anchor"])


def test_where_the_anchor_did_not_run_there_is_no_figure(result: Make) -> None:
    results = [
        result("base", machine=FAST, **taking(2.0)), result("base", None, machine=SLOW, seed=1),
        result("gnn", machine=FAST, **taking(4.0)), result("elsewhere", machine=SLOW), result("unknown"),
        result("half", machine=FAST, **taking(4.0)), result("half", machine=SLOW, seed=1, **taking(90.0)),
        result("other", task="rel-f1/driver-top3", machine=FAST), result("rolling", regime="rolling", machine=FAST),
    ]  # fmt: skip
    found = ratios(results, "base")
    assert {name for name, ratio in found.items() if math.isnan(ratio)} == {"elsewhere", "unknown", "other", "rolling"}
    assert found["gnn"] == found["half"] == 2.0


def test_an_anchor_is_one_row(result: Make) -> None:
    results = [result("base", budget={"seconds": s}, machine=FAST, **taking(s)) for s in (10.0, 20.0)]
    with pytest.raises(InputError, match=r"'bass'.*'base"):
        ratios(results, "bass")
    with pytest.raises(InputError, match="several rows; name one of them"):
        ratios(results, "base")
    found = ratios(results, "base (budget.seconds=10.0)")
    assert found == {"base (budget.seconds=10.0)": 1.0, "base (budget.seconds=20.0)": 2.0}


def test_cold_seconds_count(result: Make) -> None:
    results = [result("base", machine=FAST, **taking(10.0, 1.0)), result("gnn", machine=FAST, **taking(20.0, 1.0))]
    assert ratios(results, "base")["gnn"] == 2.0


def shared(is_shared: bool) -> dict[str, Any]:
    return {"shared": {"is_shared": is_shared, "jobs": 1}}


def test_one_run_on_a_shared_machine_marks_the_row(result: Make) -> None:
    results = [
        result("alone", **shared(False)), result("alone", seed=1, **shared(False)),
        result("once", **shared(False)), result("once", seed=1, **shared(True)),
        result("old"), result("half", **shared(False)), result("half", seed=1),
        result("alone", task="rel-f1/driver-top3", **shared(False)), result("once", task="rel-f1/driver-top3", **shared(False)),
    ]  # fmt: skip
    board = leaderboard(results)
    first = board[board["task"] == "rel-f1/driver-dnf"].set_index("method")["shared"].to_dict()
    assert first == {"alone": "no", "once": "yes", "old": "unknown", "half": "unknown"}
    assert overall(board).set_index("method")["shared"].to_dict() == {
        "alone": False, "once": True, "old": False, "half": False,
    }  # fmt: skip
    text = render.markdown(board)
    marked = [line for line in text.splitlines() if line.startswith("|") and sheets.SHARED in line]
    assert len(marked) == 2 and all("once" in line for line in marked)
    assert text.count(f"{sheets.SHARED} measured while others") == 2


def test_nothing_is_said_of_shared_machines_and_anchors_where_there_are_none(result: Make) -> None:
    text = render.markdown(leaderboard([result("a", **shared(False)), result("b")]))
    assert sheets.SHARED not in text and "anchor" not in text


def test_the_board_shows_anchor_and_mark(result: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = [result("base", machine=FAST, **taking(2.0)), result("gnn", machine=FAST, **taking(25.0), **shared(True))]
    results.append(result("other", machine=SLOW))
    out = io.StringIO()
    render.show(leaderboard(results, anchor="base"), Console(file=out, width=200, no_color=True))
    shown = out.getvalue()
    assert "× anchor: seconds in multiples of those of base on the same machine." in shown
    (row,) = [line.split() for line in shown.splitlines() if " gnn " in line]
    assert row[4:7] == [f"25.0{sheets.SHARED}", "12", f"25.0{sheets.SHARED}"]
    for one in results:
        store.write(Outcome(one, None), tmp_path)
    assert main(["rank", str(tmp_path), "--anchor", "base"]) == 0
    head, *lines = (tmp_path / "leaderboard.csv").read_text().splitlines()
    assert {"seconds_vs_anchor", "anchor", "shared"} <= set(head.split(",")) and len(lines) == 3
    capsys.readouterr()
    assert main(["rank", str(tmp_path), "--anchor", "bese"]) == 2
    said = capsys.readouterr().err
    assert "no anchor 'bese'" in said and "'base'" in said and said.count("\n") == 1


def test_labels_that_were_learned_from_are_never_mixed_in_one_row(result: Make) -> None:
    results = [
        result("gnn", 0.7), result("gnn", 0.8, seed=1), result("gnn", 0.9, fitted_on="train+val"),
        result("gnn", 0.9, seed=1, fitted_on="train+val"), result("trees", 0.6, fitted_on="train+val"),
    ]  # fmt: skip
    board = leaderboard(results).set_index("method")
    assert board["fitted_on"].to_dict() == {
        "gnn (fit_on=train)": "train", "gnn (fit_on=train+val)": "train+val", "trees": "train+val",
    }  # fmt: skip
    assert board["test"].round(6).to_dict() == {"gnn (fit_on=train)": 0.75, "gnn (fit_on=train+val)": 0.9, "trees": 0.6}
    assert board["runs"].to_dict() == {"gnn (fit_on=train)": 2, "gnn (fit_on=train+val)": 2, "trees": 1}
