"""What `status` and `--dry-run` say, and that they change nothing."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from sweep_results import entry, made, stored

from relbench_harness.cli import main
from relbench_harness.sweep.claims import Claims
from relbench_harness.sweep.plan import leave
from relbench_harness.sweep.scan import scan
from relbench_harness.sweep.status import Expected, Observed, duration

DONE, FAILED, RUNNING, DEAD, LEFT, OTHER = (digit * 32 for digit in "123456")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder of two sweeps: a run done, one failed, one running, one interrupted, one left; the second has one left."""
    folder = tmp_path / "results"
    stored(folder, made(DONE), made(FAILED, "timeout", seed=1))
    runs = [entry(one, seed=seed) for seed, one in enumerate((DONE, FAILED, RUNNING, DEAD, LEFT))]
    leave(runs, folder, "first")
    leave([entry(OTHER, method="gnn", budget_seconds=100.0), runs[0]], folder, "second")
    claims = Claims(folder)
    assert claims.attempt(RUNNING, {}) is not None
    dead = claims.attempt(DEAD, {})
    assert dead is not None
    said = json.loads(dead.mark.path.read_text())
    dead.mark.path.write_text(json.dumps({**said, "process_started": "earlier"}))
    return folder


def content(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}


def status(capsys: pytest.CaptureFixture[str], *given: str) -> list[str]:
    assert main(["status", *given]) == 0
    return capsys.readouterr().out.splitlines()


def test_the_status_of_a_sweep(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = content(results)
    lines = status(capsys, str(results), "first")
    assert lines[:5] == [
        "done         1 of 5",
        "running      1",
        "failed       1  (timeout 1)",
        "interrupted  1",
        "left         1",
    ]
    # three runs of two seconds, less what the one under way has had of them
    assert lines[5] in [f"time to go   about {seconds} s" for seconds in (4, 5, 6)]
    assert lines[6].startswith("running: shop/churn  constant  seed=2  frozen  since 20")
    assert lines[7:] == ["interrupted: shop/churn  constant  seed=3  frozen"]
    assert content(results) == before


def test_the_status_of_all_sweeps_counts_each_run_once(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = status(capsys, str(results))
    assert lines[0] == "done         1 of 6" and lines[4] == "left         2" and lines[5] == "time to go   about 2 min"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["{}", "frist"], "no sweep 'frist' in {}; did you mean 'first'"),
        (["{}/nowhere"], "no results folder {}/nowhere"),
        (["{}/shop__churn"], "no sweep has left its plan in {}/shop__churn; run -m leaves one"),
    ],
)
def test_what_is_not_there_is_one_sentence(
    results: Path, capsys: pytest.CaptureFixture[str], given: list[str], sentence: str
) -> None:
    assert main(["status", *(one.format(results) for one in given)]) == 2
    shown = capsys.readouterr().err
    assert sentence.format(results) in shown and shown.count("\n") == 1


def test_marks_of_other_hosts_are_watched(results: Path) -> None:
    claims = Claims(results)
    path = claims.marks()[RUNNING].path
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1, "process_started": "1"}))
    marks = claims.marks()
    pauses: list[float] = []
    assert Observed.of(claims, [marks[RUNNING]], pauses.append)(marks[RUNNING]) and not pauses
    os.utime(path, (5.0, 5.0))
    assert not Observed.of(Claims(results), [marks[RUNNING]], pauses.append)(marks[RUNNING]) and len(pauses) == 1
    renewed = Observed.of(Claims(results), [marks[RUNNING]], lambda _: os.utime(path, (10.0, 10.0)))
    assert renewed(marks[RUNNING])


def test_expected_seconds(tmp_path: Path) -> None:
    stored(
        tmp_path,
        made("1" * 32, seconds_warm={"total": 10.0}),
        made("2" * 32, seconds_warm={"total": 20.0}),
        made("3" * 32, "error", seconds_warm={"total": 500.0}),
        made("4" * 32, task="shop/spend", seconds_warm={"total": 60.0}),
    )
    expected = Expected.of(scan(tmp_path))
    assert expected.seconds(entry()) == 15.0
    assert expected.seconds(entry(task="shop/other", budget_seconds=7.0)) == 30.0
    assert expected.seconds(entry(method="gnn", budget_seconds=7.0)) == 7.0
    assert expected.seconds(entry(method="gnn")) is None


def test_durations() -> None:
    assert [duration(s) for s in (2.4, 100, 6000, 400_000)] == [
        "about 2 s", "about 2 min", "about 1.7 h", "about 4.6 days"
    ]  # fmt: skip


def test_a_dry_run_says_what_would_run_and_writes_nothing(
    tmp_path: Path, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    sweep = ["-m", "task=shop/churn,shop/nothing", "method=constant", "seed=0,1", f"results_dir={results}"]
    assert main(["run", "--dry-run", *sweep, "budget.seconds=90"]) == 2
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        "shop/churn  constant  seed=0  frozen  would run, about 2 min",
        "shop/churn  constant  seed=1  frozen  would run, about 2 min",
        "2 would run, about 3 min; 0 are there or under way",
    ]
    assert shown.err.count("no task 'nothing' in dataset shop") == 2 and not results.exists()
    assert main(["run", "task=shop/churn", "method=constant", "seed=1", f"results_dir={results}"]) == 0
    before = content(results)
    begin = time.time()
    capsys.readouterr()
    assert main(["run", *sweep[:1], "task=shop/churn", *sweep[2:], "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("shop/churn  constant  seed=0  frozen  would run, about ")
    assert lines[1:] == ["shop/churn  constant  seed=1  frozen  is there", lines[2]]
    assert lines[2].startswith("1 would run, about ") and lines[2].endswith("; 1 are there or under way")
    assert content(results) == before
    assert not [path for path in tmp_path.rglob("*") if path.stat().st_mtime > begin]


def test_a_named_sweep_has_its_plan_under_its_name(tmp_path: Path, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["task=shop/churn", "method=constant", f"results_dir={tmp_path}"]
    assert main(["run", "-m", *given, "seed=0,1", "sweep=mine"]) == 0
    capsys.readouterr()
    assert status(capsys, str(tmp_path), "mine")[0] == "done         2 of 2"
