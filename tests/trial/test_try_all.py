"""`try URI --all N`: one page over the trials of suggested queries, each with a report of its own."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from relbench_harness.board.store import read_results
from relbench_harness.cli import main
from relbench_harness.trial import all_queries
from relbench_harness.trial.all_queries import Board, Entry, report_of_all, try_all
from relbench_harness.trial.carried import Request
from relbench_harness.trial.plan import turns_of
from relbench_harness.trial.report import markdown, page


@pytest.fixture(scope="module")
def board(sqlite_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Board:
    home = tmp_path_factory.mktemp("all")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELBENCH_HARNESS_DATASETS", str(home / "datasets"))
        turns = turns_of(["constant", "label_history"])
        request = Request(sqlite_uri, "", home / "datasets", 10.0, to=home / "all", turns=turns, isolation="none")
        return try_all(request, 2, lambda line: None)


def test_every_query_has_a_report_and_a_row_that_leads_there(board: Board) -> None:
    assert [entry.why for entry in board.entries] == ["", ""]
    names = [entry.suggestion.name for entry in board.entries]
    shown = board.path.read_text()
    for name in names:
        assert f'href="{name}/report.html"' in shown and (board.path.parent / name / "report.html").is_file()
        results = read_results(board.path.parent / name / "results")
        assert [one.method for one in results] == ["constant", "label_history"]
        # the scores of the page are those of the results
        for one in results:
            assert f"{one.score:.3f}" in shown
    assert (board.path.parent / "report.md").read_text().count("PREDICT") == 2


def test_the_headline_counts_tasks(board: Board) -> None:
    assert re.fullmatch(r"In 0 of 2 tasks a model is shown to beat the simple rule\.", board.verdict.headline)
    assert not any("plain features" in sentence for sentence in board.verdict.said)


def test_a_query_without_a_trial_is_a_row_with_its_reason(board: Board) -> None:
    first, second = board.entries
    report = report_of_all(replace(board, entries=[first, Entry(second.suggestion, why="no time was left")]))
    (line,) = [line for line in markdown(report) if line.startswith(f"| {second.suggestion.name}")]
    assert line.endswith("| no time was left |") and "no time was left" in page(report)


def test_queries_for_which_no_time_is_left_are_not_begun(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    def began(*_: object) -> None:
        raise AssertionError("a trial began")

    monkeypatch.setattr(all_queries, "carry_out", began)
    request = Request("shop", "", Path("nowhere"), 0.1)
    offered = [entry.suggestion for entry in board.entries]
    found = list(all_queries._entries(request, Path("nowhere"), offered, 0.0, lambda line: None))
    assert [entry.why for entry in found] == ["no time was left"] * 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "try takes either a query or --all N"),
        (["PREDICT x", "--all", "3"], "try takes either a query or --all N"),
        (["--all", "0"], "--all is 0"),
        (["--all", "3", "--task", "churn"], "--task belongs to one query"),
        (["--all", "3", "--capacity", "5"], "--capacity belongs to one query"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    words: list[str],
    said: str,
    sqlite_uri: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RELBENCH_HARNESS_DATASETS", str(tmp_path / "datasets"))
    assert main(["try", sqlite_uri, *words]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "datasets").exists()
