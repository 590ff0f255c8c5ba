"""`relbench-harness rank`: from stored results to tables."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from relbench_harness.cli import main


@pytest.fixture
def results(tmp_path: Path, shop_path: Path) -> Path:
    folder = tmp_path / "results"
    sweep = ["-m", "task=little-shop/churn", "method=constant,label_history", "seed=0,1"]
    assert main(["run", *sweep, f"results_dir={folder}"]) == 0
    return folder


def test_the_leaderboard_is_printed_and_written(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rank", str(results), "--svg", str(results / "board.svg")]) == 0
    shown = capsys.readouterr().out
    assert "little-shop/churn" in shown and "label_history" in shown and "roc_auc" in shown
    assert "constant" in (results / "leaderboard.md").read_text()
    assert len(pd.read_csv(results / "leaderboard.csv")) == 2
    assert (results / "board.svg").read_text().startswith("<svg")


def test_ranking_twice_ranks_the_same(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rank", str(results)]) == 0
    first = capsys.readouterr().out
    assert main(["rank", str(results)]) == 0
    assert capsys.readouterr().out == first


def test_what_cannot_be_ranked_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rank", str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err
    assert main(["rank", str(tmp_path)]) == 2
    assert f"no results in {tmp_path}" in capsys.readouterr().err


def test_one_regime_can_be_ranked_alone(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = ["task=little-shop/churn", "method=constant", "regime=rolling", f"results_dir={results}"]
    assert main(["run", *sweep]) == 0
    assert main(["rank", str(results), "--regime", "rolling", "--out", str(tmp_path)]) == 0
    assert pd.read_csv(tmp_path / "leaderboard.csv")["method"].tolist() == ["constant"]
    only = tmp_path / "only"
    assert main(["run", "task=little-shop/churn", "method=constant", f"results_dir={only}"]) == 0
    assert main(["rank", str(only), "--regime", "rolling"]) == 2
    assert f"no results of regime rolling in {only}" in capsys.readouterr().err


def test_intervals_formats_and_another_metric(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["rank", str(results), "--against", "constant", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "95 % interval" in shown and "label_history against constant: " in shown
    assert {path.suffix for path in tmp_path.glob("leaderboard.*")} == {".md", ".csv", ".tex", ".html"}
    for name, begins in (("latex", r"\begin{table}"), ("html", "<!doctype html>"), ("csv", "task,regime"), ("md", "## ")):
        assert main(["rank", str(results), "--format", name, "--metric", "log_loss", "--no-intervals"]) == 0
        shown = capsys.readouterr().out
        assert shown.startswith(begins) and "log" in shown and "roc_auc" not in shown.replace("\\", "")
    assert main(["rank", str(results), "--metric", "log_los"]) == 2
    assert "there is no metric 'log_los'; did you mean 'log_loss'" in capsys.readouterr().err
    assert main(["rank", str(results), "--against", "constnt"]) == 2
    assert "did you mean 'constant'" in capsys.readouterr().err


def test_a_board_gets_a_page(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert main(["board", str(results)]) == 0
    text = (results / "README.md").read_text(encoding="utf-8")
    assert "little-shop/churn, frozen: roc" in text and "label\\_history" in text
    capsys.readouterr()
    assert main(["board", str(results)]) == 0 and (results / "README.md").read_text(encoding="utf-8") == text
    assert capsys.readouterr().err == ""
    # where the labels are not at hand there are no intervals, and it is said
    monkeypatch.setenv("RELBENCH_HARNESS_DATASETS", str(tmp_path))
    assert main(["board", str(results)]) == 0
    assert "no intervals for little-shop/churn: no dataset 'little-shop'" in capsys.readouterr().err
