"""`relbench-harness run`: sweeps, exit codes, and what is stored."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from relbench_harness.board.store import read_results
from relbench_harness.cli import main
from relbench_harness.overrides import quoted

TASK = "task=little-shop/churn"


@pytest.fixture
def results(tmp_path: Path, shop_path: Path) -> Path:
    return tmp_path / "results"


def run(results: Path, *overrides: str) -> int:
    return main(["run", *overrides, f"results_dir={results}"])


def test_a_run_stores_one_line_and_its_predictions(results: Path) -> None:
    assert run(results, TASK, "method=constant", "seed=3") == 0
    (path,) = results.rglob("*.json")
    line = json.loads(path.read_text())
    assert path.read_text().count("\n") == 1
    assert (line["task"], line["method"], line["seed"], line["regime"]) == ("little-shop/churn", "constant", 3, "frozen")
    assert line["status"] == "ok" and line["error"] is None and line["fitted_on"] == "train"
    assert set(line["scores"]) == {"val", "test"} and line["scores"]["test"]["roc_auc"] == 0.5
    phases = {name: s for name, s in line["seconds"].items() if name != "total"}
    assert {"load", "labels", "fit", "predict"} <= set(phases)
    assert sum(phases.values()) == pytest.approx(line["seconds"]["total"], rel=0.2, abs=0.05)
    assert line["peak_memory_mb"] > 10
    assert set(line["lines"]) >= {"task", "method", "harness"} and line["lines"]["method"] > 0
    assert line["dataset_fingerprint"] and line["machine"]["cores"] >= 1 and line["versions"]["relbench"]
    predictions = pd.read_parquet(path.with_name(line["predictions"]))
    assert list(predictions.columns) == ["split", "entity", "time", "prediction"]
    assert predictions.groupby("split").size().to_dict() == {"test": 25, "val": 25}


def test_a_sweep_runs_every_combination(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(results, "-m", TASK, "method=constant,label_history", "seed=0,1", "regime=frozen,rolling") == 0
    stored = read_results(results)
    assert len({(r.method, r.seed, r.regime) for r in stored}) == 8
    assert capsys.readouterr().out.count("roc_auc val") == 8


def test_one_bad_task_in_a_sweep_costs_only_its_own_runs(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(results, "-m", f"{TASK},little-shop/chrn", "method=constant") == 2
    assert len(read_results(results)) == 1
    assert "no task 'chrn' in dataset little-shop; did you mean 'churn'?" in capsys.readouterr().err


def test_results_are_added_never_rewritten(results: Path) -> None:
    assert run(results, TASK, "method=constant") == 0
    before = {path: path.read_bytes() for path in results.rglob("*.*") if path.is_file()}
    assert run(results, TASK, "method=constant", "resume=false") == 0
    assert run(results, TASK, "method=nonsense") == 2
    assert len(read_results(results)) == 2
    assert all(path.read_bytes() == content for path, content in before.items())


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["method=constnt", TASK], "no method 'constnt'; did you mean 'constant'?"),
        (["method=constant", "task=little-shp/churn"], "no dataset 'little-shp'; did you mean 'little-shop'"),
        (["method=constant", "task=churn"], "'churn' is no task address"),
        (["method=constant"], "no task given"),
        (["method=constant", TASK, "sed=1"], "no key 'sed'; did you mean 'seed' or 'save'?"),
        (["method=constant", TASK, "seed=one"], "seed: Value 'one' of type 'str' could not be converted to Integer"),
        (["method=constant", TASK, "regime=roling"], "no regime 'roling'; did you mean 'rolling'"),
        (["method=constant", TASK, "fit_on=trainval"], "no fit_on 'trainval'; did you mean 'train+val'"),
        (["method=constant", TASK, "tracker=wandbb"], "no tracker 'wandbb'; did you mean 'wandb'?"),
        (["method=constant", TASK, "guard=triviall"], "no guard 'triviall'; did you mean 'trivial'?"),
        (["method=constant", TASK, "+method.color=red"], "unexpected keyword argument 'color'"),
        (["method=constant", TASK, "method.colour=red"], "no key 'method.colour'"),
        (["method=constant", TASK, "seed=-1"], "seed is -1; it is a whole number from 0 to 2147483647"),
        (["method=constant", TASK, "seed=3000000000"], "seed is 3000000000"),
        (["method=constant", TASK, "budget.seconds=nan"], "budget: seconds is nan; it is more than 0, or null"),
        (["method=constant", TASK, "budget.seconds=-1"], "budget: seconds is -1.0"),
        (["method=constant", TASK, "budget.threads=0"], "budget: threads is 0; it is at least 1"),
        (["method=constant", TASK, "budget.trials=-1"], "budget: trials is -1"),
        (["method=constant", TASK, "budget.memory_mb=0"], "budget: memory_mb is 0"),
        (["method=constant", TASK, "budget.device=cdua"], "budget: unknown device 'cdua'; known: auto, cpu, cuda"),
        (["method=constant", TASK, "isolation=proces"], "no isolation 'proces'; did you mean 'process'?"),
        (
            ["method=constant", TASK, "limits.seconds=0"],
            "limits: seconds is 0.0; it is more than 0, or null for the default",
        ),
        (["method=constant", TASK, "limits.open_files=3"], "limits: open_files is 3; it is at least 64"),
        (["method=constant", TASK, "limits.memory=3"], "no key 'limits.memory'; did you mean 'memory_mb'"),
        (["method=constant", TASK, "seed=0,1"], "'seed=0,1' gives several values; run -m runs each of them"),
        (["method=constant", f"{TASK},little-shop/x"], "gives several values; run -m"),
        (["-m", "method=constant", f"{TASK},"], "no task 'churn,' in dataset little-shop; did you mean 'churn'"),
        (["method=constant", TASK, "seed"], "'seed' sets nothing; a setting is KEY=VALUE"),
        (["method=constant", TASK, "seed=range("], "seed: Value 'range(' of type 'str' could not be converted"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    results: Path, capsys: pytest.CaptureFixture[str], overrides: list[str], sentence: str
) -> None:
    assert run(results, *overrides) == 2
    shown = capsys.readouterr().err
    assert sentence in shown
    assert shown.count("\n") == 1 and "Traceback" not in shown
    assert not list(results.rglob("*.json"))


@pytest.mark.parametrize("name", ["zürich (1)", "it's=a\\b", "a#b:c", "(x\\", "(y\\'z", "{x", "[1]", "$HOME"])
def test_results_go_to_a_folder_of_any_name(tmp_path: Path, shop_path: Path, name: str) -> None:
    assert main(["run", TASK, "method=constant", f"results_dir={tmp_path / name}"]) == 0
    assert len(read_results(tmp_path / name)) == 1


def test_a_folder_of_datasets_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RELBENCH_HARNESS_DATASETS", f"{tmp_path}:{tmp_path / 'nowhere'}")
    assert main(["run", TASK, "method=constant", f"results_dir={tmp_path / 'results'}"]) == 2
    shown = capsys.readouterr().err
    assert "no dataset 'little-shop'" in shown
    assert f"; RELBENCH_HARNESS_DATASETS names {tmp_path / 'nowhere'}, which is no folder\n" in shown


def test_an_empty_folder_is_not_the_one_we_are_in(
    tmp_path: Path, shop_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", TASK, "method=constant", "results_dir="]) == 2
    assert "results_dir is empty" in capsys.readouterr().err and not list(tmp_path.iterdir())


FAULTY = """
class Faulty:
    def __init__(self, **_): ...

    def fit(self, *_):
        print("the last that it says")
        raise MemoryError("the matrix of 3 TB")
"""


@pytest.mark.parametrize("isolation", ["none", "process"])
def test_a_failing_method_is_a_recorded_failure(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], isolation: str
) -> None:
    folder = results.parent / "methods"
    folder.mkdir()
    (folder / "faulty.py").write_text(FAULTY)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "faulty", raising=False)
    monkeypatch.setattr("relbench_harness.board.method_files.module_file", lambda target: folder / "faulty.py")
    assert run(results, TASK, "method=constant", "method._target_=faulty.Faulty", f"isolation={isolation}") == 1
    (stored,) = read_results(results)
    assert stored.status == "out_of_memory" and stored.error == "MemoryError: the matrix of 3 TB"
    assert stored.isolation == isolation and stored.traceback is not None
    assert "faulty.py" in stored.traceback and ("the last that it says" in stored.traceback) == (isolation == "process")
    assert "failed (out_of_memory)" in capsys.readouterr().out


def test_an_isolated_run_passes_its_log_and_its_seconds_on(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-v", "run", TASK, "method=constant", "limits.memory_mb=3000", f"results_dir={results}"]) == 0
    said = capsys.readouterr().err
    assert "phase fit: " in said and "phase predict: " in said and "phase isolation: " in said
    (stored,) = read_results(results)
    assert stored.isolation == "process" and stored.limits["memory_mb"]["value"] == 3000


@pytest.mark.parametrize(
    ("variable", "value", "override", "sentence"),
    [
        ("WANDB_MODE", "ofline", "seed=0", "Weights & Biases has no mode 'ofline'; did you mean 'offline'"),
        ("WANDB_MODE", "offline", "tracker.mode=onlin", "Weights & Biases has no mode 'onlin'; did you mean 'online'"),
        ("WANDB_INIT_TIMEOUT", "soon", "tracker.mode=offline", "WANDB_INIT_TIMEOUT is 'soon', not a number of seconds"),
    ],
)
def test_wrong_settings_of_a_tracker_are_found_before_the_run(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    variable: str, value: str, override: str, sentence: str,
) -> None:  # fmt: skip
    monkeypatch.setenv(variable, value)
    assert run(results, TASK, "method=constant", "tracker=wandb", override) == 2
    assert sentence in capsys.readouterr().err and not list(results.rglob("*.json"))


GNN = ("method=gnn", "method.epochs=3", "method.steps_per_epoch=1", "method.patience=3", "isolation=process")


@pytest.mark.parametrize("settings", [("method=constant",), pytest.param(GNN, marks=pytest.mark.thorough)])
def test_weights_and_biases_offline(results: Path, settings: tuple[str, ...]) -> None:
    """The run belongs to its board; its curve comes epoch by epoch, then scores as a table and predictions as an artefact."""
    assert run(results, TASK, *settings, "tracker=wandb", "tracker.mode=offline") == 0
    (folder,) = (results / "wandb").glob("offline-run-*")
    (log,) = folder.glob("*.wandb")
    # W&B's own service writes the log, a moment after the run is finished
    for _ in range(200):
        records = list(wandb_records(log.read_bytes()))
        if records and records[-1].HasField("exit"):
            break
        time.sleep(0.1)
    (stored,) = read_results(results)
    (*_, described) = [record.run for record in records if record.HasField("run")]
    assert (described.run_group, described.job_type) == (results.name, "little-shop/churn")
    assert described.display_name == f"{stored.method} on little-shop/churn, seed 0"
    assert set(described.tags) == {stored.method, "frozen", "ok"}
    logged = [{item.key or item.nested_key[0]: item.value_json for item in r.history.item} for r in records]
    epochs = [int(row["epoch"]) for row in logged if "validation" in row]
    # a process of its own passes on at most five a second
    assert epochs == sorted(set(epochs)) and set(epochs) <= {1, 2, 3} and (1 in epochs) == (stored.method == "gnn")
    (scores,) = [row for row in logged if "test/roc_auc" in row]
    assert float(scores["test/roc_auc"]) == stored.score
    artefacts = {record.artifact.type: record.artifact for record in records if record.HasField("artifact")}
    assert artefacts["predictions"].name == str(stored.predictions).removesuffix(".parquet") and "run_table" in artefacts


def wandb_records(log: bytes) -> Iterator[Any]:
    """What W&B wrote: blocks of 32 KiB, in which a record has a checksum, a length and a kind (whole, first, middle, last)."""
    from wandb.proto.wandb_internal_pb2 import Record

    at, part = 7, b""
    while at + 7 <= len(log):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack("<IHB", log[at : at + 7])
        part += log[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield Record.FromString(part)
            part = b""


def test_the_installed_command_says_what_it_can(shop_path: Path) -> None:
    command = [sys.executable, "-m", "relbench_harness.cli"]
    listed = subprocess.run([*command, "list", "tasks"], capture_output=True, text=True, check=True)
    assert "little-shop/churn" in listed.stdout.splitlines()
    methods = subprocess.run([*command, "list", "methods"], capture_output=True, text=True, check=True)
    assert {"constant", "label_history"} <= set(methods.stdout.split())
    assert subprocess.run(command, capture_output=True).returncode == 2


@pytest.mark.parametrize(
    ("given", "composed"),
    [
        ("task=shop@scale=10,seed=1/churn,rel-f1/driver-dnf", "task='shop@scale=10,seed=1/churn','rel-f1/driver-dnf'"),
        ("task=rel-f1/driver-dnf", "task=rel-f1/driver-dnf"),
        ("task='shop@scale=10/churn'", "task='shop@scale=10/churn'"),
        ("method=gnn", "method=gnn"),
    ],
)
def test_addresses_with_parameters_need_no_quotes(given: str, composed: str) -> None:
    assert quoted(given) == composed


def test_a_guard_stands_around_a_learned_method_unless_it_is_left_out(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # with this noise a method that is not better by ten standard errors gives way
    weak = ["method=lightgbm", "method.n_estimators=1"]
    assert run(results, TASK, *weak, "guard.noise=-10") == 0
    assert run(results, TASK, *weak, "guard=none") == run(results, TASK, "method=constant") == 0
    guarded, alone, trivial = sorted(read_results(results), key=lambda one: (one.method == "constant", one.started))
    if "guard" in alone.config:
        guarded, alone = alone, guarded
    assert guarded.notes["fallback"] in ("constant", "label_history") and "noise" in guarded.config["guard"]
    assert alone.notes == {} and "guard" not in alone.config and "guard" not in trivial.config
    assert guarded.lines["method"] == alone.lines["method"]
    assert f"answered by {guarded.notes['fallback']}" in capsys.readouterr().out
