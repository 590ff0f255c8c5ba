"""`relbench-harness validate`: whole results pass, and each kind of fault is named in a sentence with its file."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from relbench_harness.cli import main
from relbench_harness.contributions import identities, repetitions, validate
from relbench_harness.contributions.identities import unchanged_since
from relbench_harness.protocol.budget import Budget
from relbench_harness.protocol.result import Result
from relbench_harness.sweep.identity import Identities

Change = Callable[[Path, dict[str, Any]], object]
"""Changes the line of a file, or files beside it."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, little_shop: Path) -> Iterator[Path]:
    """Results of two methods, as a contributor makes them."""
    folder = tmp_path_factory.mktemp("made") / "board"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELBENCH_HARNESS_DATASETS", str(little_shop))
        sweep = ["-m", "task=little-shop/churn", "method=constant,label_history", "isolation=none"]
        assert main(["run", *sweep, f"results_dir={folder}"]) == 0
        yield folder


@pytest.fixture
def board(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "board"))


def one(board: Path) -> Path:
    return min(board.rglob("label_history/*-seed0-*.json"))


def changed(path: Path, change: Change) -> None:
    line = json.loads(path.read_text())
    before = copy.deepcopy(line)
    change(path, line)
    if line != before:
        path.write_text(json.dumps(line, sort_keys=True) + "\n")


def checked(*paths: Path) -> validate.Validation:
    return validate.validate(paths)


def test_whole_results_pass(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(board)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[-1] == "2 result lines: 2 scored again, 2 identities computed again; no fault"
    assert shown[:-1] == [f"note: 2 lines, the first {min(board.rglob('*/*/*.json'))}: the audit is missing"]
    assert main(["validate", str(one(board)), str(one(board).parent)]) == 1, "a line that is named twice is there twice"
    assert checked(one(board)).said() and checked(one(board)).faults == []


def score(split: str, metric: str, by: float) -> Change:
    def change(_: Path, line: dict[str, Any]) -> None:
        line["scores"][split][metric] += by

    return change


def field(name: str, value: Any, *inner: str) -> Change:
    def change(_: Path, line: dict[str, Any]) -> None:
        for part in inner:
            line = line[part]
        line[name] = value

    return change


def table(change: Callable[[pa.Table], pa.Table]) -> Change:
    def apply(path: Path, line: dict[str, Any]) -> None:
        file = path.with_name(line["predictions"])
        pq.write_table(change(pq.read_table(file)), file)

    return apply


def column(name: str, values: Callable[[pa.Table], list[Any]]) -> Change:
    return table(lambda t: t.set_column(t.column_names.index(name), name, pa.array(values(t))))


def beside(act: Callable[[Path, Path], object]) -> Change:
    """Does something with the files of the line and of its predictions."""
    return lambda path, line: act(path, path.with_name(line["predictions"]))


def renamed(name: str) -> Change:
    """The line and its predictions under another name."""

    def change(path: Path, line: dict[str, Any]) -> None:
        path.with_name(line["predictions"]).rename(path.with_name(f"{name}.parquet"))
        path.with_name(f"{name}.json").write_text(json.dumps({**line, "predictions": f"{name}.parquet"}))
        path.unlink()

    return change


TAMPERED: dict[str, tuple[Change, str]] = {
    "a score by 1e-9": (score("test", "log_loss", 1e-9), "test log_loss is stored as"),
    "a score of validation": (score("val", "roc_auc", -1e-9), "val roc_auc is stored as"),
    "no number": (field("roc_auc", None, "scores", "test"), "test roc_auc is no number, but the status is ok"),
    "a split left out": (field("test", {}, "scores"), "test roc_auc is no number"),
    "a prediction dropped": (table(lambda t: t.slice(1)), "predictions for split 'val', which has"),
    "a prediction that is NaN": (column("prediction", lambda t: [float("nan")] * len(t)), "NaN or infinite"),
    "predictions of other examples": (column("entity", lambda t: t["entity"].to_pylist()[::-1]), "is about another example"),
    "other predictions": (table(lambda t: t.set_column(3, "prediction", pc.multiply(t["prediction"], 0.5))), "is stored as"),
    "another seed": (field("seed", 7), "seed is 7, but the budget says 0"),
    "another identity": (field("identity", "0" * 32), "the file's name says identity"),
    "another regime": (field("regime", "rolling"), "the file's name says regime frozen, the line rolling"),
    "an unknown regime": (field("regime", "rollin"), "regime is 'rollin'; did you mean 'rolling'"),
    "an unknown status": (field("status", "fine"), "status is 'fine'"),
    "an unknown task": (field("task", "little-shop/chrn"), "no task 'chrn' in dataset little-shop; did you mean 'churn'?"),
    "a folder as a task": (field("task", "../../evil/churn"), "task is '../../evil/churn', which does not read dataset/task"),
    "another metric": (field("metric", "log_loss"), "metric is 'log_loss', but binary_classification is ranked by 'roc_auc'"),
    "another type": (field("task_type", "regression"), "calls its task regression"),
    "other data": (field("dataset_fingerprint", "f" * 32), "was made on data ffffffffffff"),
    "no data": (field("dataset_fingerprint", ""), "dataset_fingerprint is empty"),
    "an unknown field": (field("scroes", {}), "there is no field 'scroes'; did you mean 'scores'"),
    "a wrong type": (field("seed", "0"), 'seed is "0", not a int'),
    "negative seconds": (field("total", -1.0, "seconds"), "seconds.total is -1.0"),
    "no predictions": (field("predictions", None), "there are no predictions"),
    "predictions elsewhere": (field("predictions", "../../../../etc/passwd"), "which is no name of a file beside it"),
    "predictions of another line": (field("predictions", ".."), "the predictions are called '..'"),
    "predictions lost": (beside(lambda _, file: file.unlink()), "which are missing"),
    "predictions cut short": (beside(lambda _, file: file.write_bytes(file.read_bytes()[:-40])), "predictions cannot be read"),
    "the line cut short": (beside(lambda path, _: path.write_text(path.read_text()[:-40])), "is no JSON line"),
    "the line lost": (beside(lambda path, _: path.unlink()), "no result line belongs to these predictions"),
    "NaN in JSON": (beside(lambda p, _: p.write_text(p.read_text().replace('"peak_device_memory_mb": 0.0', '"peak_device_memory_mb": NaN'))), "the line holds NaN"),
    "a key twice": (beside(lambda p, _: p.write_text(p.read_text().replace('{"budget"', '{"seed": 5, "budget"'))), "the key 'seed' stands twice"),
    "two lines": (beside(lambda p, _: p.write_text(p.read_text() * 2)), "the file holds more than one line"),
    "a link": (beside(lambda p, _: (p.rename(p.parents[3] / "else"), p.symlink_to(p.parents[3] / "else"))), "this lies outside of"),
    "predictions by link": (beside(lambda p, f: (f.rename(p.parents[3] / "x"), f.symlink_to(p.parents[3] / "x"))), "are a link, not a file"),
    "another folder": (beside(lambda p, _: p.parent.rename(p.parent.with_name("gnn"))), "belongs in a folder 'little-shop__churn/label_history'"),
    "a name of one's own": (renamed("best-run"), "the file's name is none that the store writes"),
    "a hostile name": (renamed("\x1b[2J<b>|\n$(id)"), "the file's name is none that the store writes"),
}  # fmt: skip


@pytest.mark.parametrize("kind", TAMPERED)
def test_each_fault_is_named_with_its_file(board: Path, kind: str) -> None:
    path, (change, message) = one(board), TAMPERED[kind]
    changed(path, change)
    found = checked(path.parent if path.parent.exists() else board)
    naming = [sentence for sentence in found.faults if message in sentence]
    assert naming and found.code == 1, found.faults
    assert all(sentence.startswith(str(board)) for sentence in found.faults)
    assert all("label_history" in sentence or kind == "another folder" for sentence in found.faults)
    assert all(line.isprintable() for line in found.said())


def test_predictions_of_another_task_are_named(board: Path) -> None:
    paths = sorted(board.rglob("label_history/*.parquet"))
    shutil.copy(min(board.rglob("constant/*.parquet")), paths[0])
    assert all("is stored as" in fault for fault in checked(board).faults) and checked(board).faults


def test_the_same_run_twice_is_a_duplicate_and_a_repaired_one_supersedes(board: Path) -> None:
    path = one(board)
    line = json.loads(path.read_text())
    again = path.with_name(path.name.replace("Z-", "Z-0"))
    again.write_text(json.dumps({**line, "predictions": f"{again.stem}.parquet", "started": "2099-01-01T00:00:00+00:00"}))
    shutil.copy(path.with_name(line["predictions"]), again.with_suffix(".parquet"))
    assert checked(board).faults == [f"{path}: this is the same run as {again}"]
    # a failure that was made again stays in the log
    failed = {**line, "status": "error", "scores": {}, "predictions": None, "error": "ValueError: no"}
    path.write_text(json.dumps(failed))
    path.with_suffix(".parquet").unlink()
    found = checked(board)
    assert found.faults == [] and found.remarks == [f"{path}: superseded by {again}"]


def test_later_code_supersedes() -> None:
    first = Result("a/b", "regression", "m", {}, 0, "frozen", "train", "ok", "nmae", False, identity="1" * 32, started="1")
    runs = [(Path("x"), first), (Path("y"), Result(**{**vars(first), "identity": "2" * 32, "started": "2"}))]
    assert list(repetitions.repetitions(runs)) == [(Path("x"), Path("y"), False)]


def test_a_dataset_that_is_not_here_is_said_and_no_fault(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELBENCH_HARNESS_DATASETS", "")
    found = checked(board)
    assert found.faults == [] and found.rescored == 0
    assert any("dataset of little-shop/churn is not here" in note for note in found.notes)


def test_a_failed_audit_is_a_fault(board: Path) -> None:
    line = json.loads(one(board).read_text())
    report = {
        **{name: line[name] for name in ("task", "method", "regime", "config", "dataset_fingerprint", "budget")},
        **{"code": "", "examples": {}, "started": "", "seconds": 1.0, "schema": 1},
        "findings": [{"check": "later rows", "verdict": "failed", "evidence": "it changes", "figures": {}}],
    }
    home = board / "audit" / "little-shop__churn" / "label_history"
    home.mkdir(parents=True)
    (home / "frozen.json").write_text(json.dumps(report))
    assert f"{one(board)}: the audit of label_history on little-shop/churn failed" in checked(board).faults
    report["findings"][0]["verdict"] = "passed"
    (home / "frozen.json").write_text(json.dumps(report))
    found = checked(one(board))
    assert found.faults == [] and found.notes == {}


def test_code_that_a_line_names_is_never_run(board: Path) -> None:
    touched = board / "touched"
    evil = {"_target_": "os.system", "command": f"touch {touched}"}
    changed(one(board), field("features", [evil], "config"))
    assert checked(board).faults or checked(board).notes
    assert not touched.exists()


def test_identities_depend_on_whether_code_changed(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With code that has changed since the line was made, nothing can be said; with the same code, a fault is one."""
    changed(one(board), field("history", 99, "config"))
    for unchanged, faults in ((True, 1), (False, 0), (None, 0)):
        monkeypatch.setattr(identities, "unchanged_since", lambda *_, said=unchanged: said)
        found = checked(board)
        assert len(found.faults) == faults
        assert faults or any("identity that cannot be computed here" in note for note in found.notes)


def test_a_null_of_a_line_may_be_an_infinity_of_its_run(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON has none, so the line of a run with one holds null; other numbers in its place are a fault."""
    path = one(board)
    monkeypatch.setattr(identities, "unchanged_since", lambda *_: True)
    line = Result.from_json(path.read_text(), str(path))
    config = {**line.config, "horizons": [1.0, math.inf], "none": None}
    run = identities.Described(line.task, line.method, config, line.regime, line.fitted_on, Budget(**line.budget))
    for last, right in ((None, True), (2.0, False)):
        written = dataclasses.replace(line, config={**config, "horizons": [1.0, last]}, identity=Identities().of(run))
        verdict = identities.IdentityCheck().of(Result.from_json(written.to_json(), "line"), ())
        assert verdict.equal is right


def test_readings_are_each_null_as_it_is_or_infinite() -> None:
    config = {"a": None, "b": [{"c": None}, 1.0]}
    found = list(identities.readings(config))
    assert found[0] == config and len(found) == 4
    for a, c in itertools.product((None, math.inf), repeat=2):
        assert {"a": a, "b": [{"c": c}, 1.0]} in found
    assert list(identities.readings({"a": 1})) == [{"a": 1}]
    assert len(list(identities.readings({"a": [None] * 30}))) == 2


def test_an_ensemble_is_no_fault(board: Path) -> None:
    """Its identity is made of those of its members."""
    assert main(["ensemble", str(board)]) == 0
    found = checked(board)
    assert found.faults == [] and found.rescored == 3
    assert any("mixture of stored runs" in note for note in found.notes)


def test_unknown_commits_say_nothing() -> None:
    for commit in ("", "0" * 40, "--output=x", "HEAD", "a" * 40 + "-dirty"):
        assert unchanged_since(commit, [Path(__file__)]) is None


def test_bad_input_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(tmp_path / "absent")]) == 2
    assert "no file or folder" in capsys.readouterr().err
    assert main(["validate", str(tmp_path)]) == 2
    assert f"no result lines in {tmp_path}" in capsys.readouterr().err


@pytest.mark.slow
def test_the_committed_results_hold(real_data: Path) -> None:
    """What continuous integration asks of `results/`."""
    assert os.environ["RELBENCH_HARNESS_DATASETS"]
    found = checked(Path(__file__).parents[2] / "results")
    assert found.faults == [] and found.rescored >= 100
