"""The command: an SQLite file and a server to a report, exit codes, one sentence for what cannot be."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import stores
from little_shop import CHURN

from relbench_harness.board.store import read_results
from relbench_harness.cli import main


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RELBENCH_HARNESS_DATASETS", str(tmp_path / "datasets"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_from_postgresql_to_a_report_and_again(postgresql_uri: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["try", postgresql_uri, CHURN, "--minutes", "5", "--methods", "constant,label_history", "--to", "r"]
    assert main([*command, "--capacity", "3", "--name", "shop", "--task", "churn"]) == 0
    out, err = capsys.readouterr()
    assert "wrote r/report.html" in out and "imported: dataset shop" in err
    for name in ("report.html", "report.md", "check.html"):
        assert (home / "r" / name).is_file()
    results = read_results(home / "r" / "results")
    assert [one.method for one in results] == ["constant", "label_history"] and all(one.ok for one in results)
    assert {one.task for one in results} == {"shop/churn"} and {one.regime for one in results} == {"rolling"}
    assert main(["rank", "r/results", "--no-intervals"]) == 0
    capsys.readouterr()
    # the same again finds import and task, whatever they were called
    assert main(["try", postgresql_uri, f" {CHURN} ", "--minutes", "5", "--methods", "constant", "--name", "shop"]) == 0
    assert "found: dataset shop" in (err := capsys.readouterr().err) and "there: task shop/churn" in err
    assert (home / "trials" / "shop__churn" / "report.html").is_file()


@pytest.mark.parametrize(
    ("query", "options", "said"),
    [
        ("PREDICT COUNT(orders.*, 0, 20, days) FOR EACH custmers.customer", [], "did you mean 'customers'"),
        ("PREDIKT nothing", [], "neither a task of"),
        ("PREDICT COUNT(orders.*, 0, 20, days) FOR EACH", [], "predictive query"),
        ("PREDICT COUNT(orders.*, 0, 20, days) > 100000 FOR EACH customers.customer", [], "labels of split 'train' are 0"),
        ("PREDICT COUNT(orders.*, 0, 20, days) FOR EACH customers.customer WHERE customers.city = 'Rome'", [], "is empty"),
        ("PREDICT COUNT(orders.*, 0, 900, days) FOR EACH customers.customer", [], "900 days"),
        ("PREDICT COUNT(orders.*, 0, 20, days) FOR EACH customers.customer", ["--capacity", "3"], "--capacity is for tasks with two"),
        (CHURN, ["--minutes", "0"], "--minutes is 0"),
        (CHURN, ["--methods", "gnm"], "no method 'gnm'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_sentence(
    sqlite_uri: str, home: Path, capsys: pytest.CaptureFixture[str], query: str, options: list[str], said: str
) -> None:
    assert main(["try", sqlite_uri, query, *options]) == 2
    sentences = [line for line in capsys.readouterr().err.splitlines() if line.startswith("relbench-harness: ")]
    assert said in sentences[-1]
    assert not list(home.rglob("report.html"))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("sqlite:///nowhere.sqlite", "no SQLite file nowhere.sqlite"),
        ("oracle://host/shop", "no source of the kind 'oracle'"),
        ("postgresql://me:s3cr3t@127.0.0.1:1/shop", "cannot be read"),
        ("nowhere", "no dataset, file or folder 'nowhere'"),
    ],
)
def test_a_bad_source_is_one_sentence_without_its_password(
    home: Path, capsys: pytest.CaptureFixture[str], source: str, said: str
) -> None:
    assert main(["try", source, CHURN]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert said in lines[-1] and "s3cr3t" not in "".join(lines)
    assert not list(home.rglob("report.*"))


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_million_rows_end_within_their_minutes(
    kind: str, retail: Path, home: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whole, with every method; a first trial compiles kernels, so that the second is the one that is measured."""
    uri = (
        stores.into_sqlite(retail, home)
        if kind == "sqlite"
        else stores.into_postgresql(retail, request.getfixturevalue("postgresql_uri"))
    )
    query = (
        "PREDICT COUNT(invoices.*, 0, 60, days) = 0 FOR EACH customers.customer WHERE COUNT(invoices.*, -180, 0, days) > 0"
    )
    command = ["try", uri, query, "--capacity", "200", "--name", "retail", "--to", "r", "--minutes"]
    assert main([*command, "5"]) == 0
    begin = time.monotonic()
    assert main([*command, "3"]) == 0
    taken = time.monotonic() - begin
    assert taken < 1.1 * 180
    assert "found: dataset retail" in capsys.readouterr().err
    text = (home / "r" / "report.md").read_text(encoding="utf-8")
    for method in ("constant", "label_history", "lightgbm_simple", "xgboost_dfs", "gnn", "auto"):
        assert f"| {method} |" in text
    assert "no score" not in text and "The 200 highest predictions" in text
