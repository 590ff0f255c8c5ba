"""The same sweep by every launcher: equal scores, every run once, and whatever happens to workers is made good."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from shop_folder import write_shop
from sweep_results import children

from relbench_harness.board.store import read_results
from relbench_harness.cli import main
from relbench_harness.sweep.claims import Claims

COMMAND = [sys.executable, "-m", "relbench_harness.cli"]
TREE = ["method=constant,label_history,lightgbm_simple", "seed=0,1", "budget.threads=1"]
SWEEP = ["run", "-m", "task=shop/churn", *TREE]
LAUNCHERS = {
    "local": (["launcher=local"], None),
    "joblib": (["launcher=joblib"], "joblib"),
    "slurm": (["launcher=slurm", "launcher.cluster=local"], "submitit"),
    "ray": (["launcher=ray"], "ray"),
}
Scores = dict[tuple[str, str, int], dict[str, dict[str, float]]]


def settings(launcher: str) -> list[str]:
    """The settings of a launcher; skips where what it needs is not installed."""
    given, needed = LAUNCHERS[launcher]
    if needed is not None and find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed")
    return given


def scores(results: Path) -> Scores:
    """What each run scored; fails where a run is there twice."""
    read = read_results(results)
    once = Counter(one.identity for one in read)
    assert set(once.values()) == {1}, once
    return {(one.task, one.method, one.seed): {k: dict(v) for k, v in one.scores.items()} for one in read}


def clean(results: Path) -> None:
    """Fails where a sweep left anything but results, predictions and plans."""
    assert not list((results / ".started").iterdir())
    assert not (results / ".launched").exists()
    assert not list(results.rglob(".partial-*"))
    assert all(path.with_suffix(".json").exists() for path in results.rglob("*.parquet"))
    for path in results.rglob("*.json"):
        json.loads(path.read_text())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, shop_home: Path) -> Scores:
    results = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELBENCH_HARNESS_DATASETS", str(shop_home))
        assert main([*SWEEP, f"results_dir={results}"]) == 0
    return scores(results)


def ran(command: Sequence[str], results: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *command, f"results_dir={results}"], capture_output=True, text=True)


@pytest.mark.parametrize(
    "launcher", [pytest.param(name, marks=[] if name == "local" else pytest.mark.thorough) for name in LAUNCHERS]
)
def test_every_launcher_gives_the_same_scores(
    launcher: str, tmp_path: Path, shop: Path, undisturbed: Scores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = ran([*SWEEP, "jobs=2", *settings(launcher)], Path("results"))
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 6 and done.stdout.count(" val ") == 6
    assert scores(tmp_path / "results") == undisturbed
    clean(tmp_path / "results")
    again = ran([*SWEEP, "jobs=2", *settings(launcher)], Path("results"))
    assert again.returncode == 0 and not again.stdout and "6 runs are already there" in again.stderr


GATED = """
import os, subprocess, sys, time
from dataclasses import dataclass
import numpy as np


@dataclass(frozen=True)
class Gated:
    gate: str = ""

    def fit(self, train, valid, budget):
        if not os.path.exists(self.gate):
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        while not os.path.exists(self.gate):
            time.sleep(0.05)
        return self

    def predict(self, examples):
        return np.full(len(examples), 0.5)
"""
ELSEWHERE = [name for name in LAUNCHERS if name != "local"]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


@pytest.fixture
def gated(tmp_path: Path, shop: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A sweep of three runs that go on once the file `gate` is there."""
    (tmp_path / "gated.py").write_text(GATED)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    method = ["method=constant", "method._target_=gated.Gated", f"+method.gate={tmp_path / 'gate'}", "guard=none"]
    return [
        *COMMAND,
        "run",
        "-m",
        "task=shop/churn",
        *method,
        "seed=0,1,2",
        "jobs=2",
        f"results_dir={tmp_path / 'results'}",
    ]


def workers(results: Path, sweep: subprocess.Popen[str]) -> list[int]:
    """The processes of two workers, once each of them has a run that is under way."""
    own = psutil.Process(sweep.pid)
    for _ in range(3600):
        marks = [mark for mark in Claims(results).marks().values() if mark.owner is not None]
        asleep = [one for one in children(own) if "time.sleep(600)" in " ".join(one.cmdline())]
        if len(marks) == len(asleep) == 2:
            return [mark.owner.pid for mark in marks if mark.owner is not None]
        assert sweep.poll() is None, sweep.communicate()
        time.sleep(0.05)
    pytest.fail("the workers do not begin")


@pytest.mark.parametrize(
    ("launcher", "number"),
    [
        ("joblib", signal.SIGKILL),
        pytest.param("slurm", signal.SIGUSR2, marks=pytest.mark.thorough),
        *(pytest.param(name, signal.SIGKILL, marks=pytest.mark.thorough) for name in ("ray", "slurm")),
    ],
)
def test_the_runs_of_a_worker_that_is_killed_or_preempted_are_made(
    launcher: str, number: signal.Signals, tmp_path: Path, gated: list[str]
) -> None:
    results = tmp_path / "results"
    command = [*gated, *settings(launcher)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as sweep:
        os.kill(workers(results, sweep)[0], number)
        (tmp_path / "gate").touch()
        shown, said = sweep.communicate()
    assert sweep.returncode == 0, said
    assert len(shown.splitlines()) == 3, (shown, said)
    if number == signal.SIGUSR2:
        # it went on by itself, through the queue
        assert said == ""
    assert sorted(seed for _, _, seed in scores(results)) == [0, 1, 2]
    clean(results)


@pytest.mark.parametrize(
    ("launcher", "number"),
    [
        ("joblib", signal.SIGTERM),
        *(pytest.param(name, number, marks=pytest.mark.thorough) for name in ELSEWHERE for number in SIGNALS),
    ],
)
def test_workers_end_within_five_seconds_and_leave_no_process(
    launcher: str, number: signal.Signals, tmp_path: Path, gated: list[str]
) -> None:
    results = tmp_path / "results"
    with subprocess.Popen([*gated, *settings(launcher)], stderr=subprocess.PIPE, text=True) as sweep:
        workers(results, sweep)
        family = children(psutil.Process(sweep.pid))
        begin = time.monotonic()
        sweep.send_signal(number)
        sweep.wait()
        _, alive = psutil.wait_procs(family, timeout=max(0.0, 5.0 - (time.monotonic() - begin)))
        for one in alive:
            one.kill()
        assert sweep.stderr is not None
        said = sweep.stderr.read()
    assert not alive, alive
    if number != signal.SIGKILL:
        assert sweep.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
        assert "0 finished runs are kept" in said and "Traceback" not in said
        clean(results)


@pytest.mark.thorough
def test_sweeps_of_two_launchers_at_once_lose_nothing_and_double_nothing(
    tmp_path: Path, shop: Path, undisturbed: Scores
) -> None:
    sweeps = [
        subprocess.Popen(
            [*COMMAND, *SWEEP, "jobs=2", *settings(name), f"results_dir={tmp_path}"], stdout=subprocess.PIPE, text=True
        )
        for name in ("local", "joblib")
    ]
    shown = [sweep.communicate()[0] for sweep in sweeps]
    assert [sweep.returncode for sweep in sweeps] == [0, 0]
    assert scores(tmp_path) == undisturbed
    assert len("".join(shown).splitlines()) == 6
    clean(tmp_path)


def test_folders_of_results_that_are_copied_together_are_one(tmp_path: Path, shop: Path) -> None:
    base = ["run", "-m", "task=shop/churn", "method=constant"]
    for folder, seeds in (("one", "0,1"), ("two", "1,2")):
        assert main([*base, f"seed={seeds}", f"results_dir={tmp_path / folder}"]) == 0
    for folder in ("one", "two"):
        shutil.copytree(tmp_path / folder, tmp_path / "both", dirs_exist_ok=True)
    found = {name: {one.identity: one.scores for one in read_results(tmp_path / name)} for name in ("one", "two", "both")}
    assert found["both"] == found["one"] | found["two"] and len(found["both"]) == 3
    before = set((tmp_path / "both").rglob("*.json"))
    assert main([*base, "seed=0,1,2", "launcher=joblib", "jobs=2", f"results_dir={tmp_path / 'both'}"]) == 0
    made = set((tmp_path / "both").rglob("*.json")) - before
    assert {path.parent.name for path in made} <= {"sweeps"}


@pytest.mark.thorough
def test_a_dataset_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_shop(tmp_path / "datasets" / "shop")
    monkeypatch.setenv("RELBENCH_HARNESS_DATASETS", str(tmp_path / "datasets"))
    monkeypatch.setenv("RELBENCH_HARNESS_CACHE", str(tmp_path / "cache"))
    done = ran(["run", "--dry-run", "task=shop/churn", "method=constant"], tmp_path / "results")
    assert done.returncode == 0, done.stderr
    built = {path: path.stat().st_ino for path in (tmp_path / "cache").rglob("*.arrow")}
    assert built
    done = ran(
        ["run", "-m", "task=shop/churn", "method=constant", "seed=0,1", "jobs=2", "launcher=joblib", "-v"],
        tmp_path / "results",
    )
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_ino for path in built} == built


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["launcher=slurn"], "no launcher 'slurn'; did you mean 'slurm'?"),
        (["launcher=ray", "launcher.adress=auto"], "adress"),
        (["launcher=local,joblib"], "a sweep has one launcher with one set of settings; start one command for each"),
        (["launcher=slurm", "launcher.cluster=locl"], "no launcher.cluster 'locl'; did you mean 'local'?"),
        (["launcher=slurm"], "launcher=slurm needs the command sbatch"),
    ],
)  # fmt: skip
def test_a_launcher_that_cannot_be_is_one_sentence(
    given: list[str], sentence: str, tmp_path: Path, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "launcher=slurm" in given:
        pytest.importorskip("submitit")
    code = main(["run", "-m", "task=shop/churn", "method=constant", *given, f"results_dir={tmp_path / 'results'}"])
    said = capsys.readouterr().err
    assert code == 2 and sentence in said and said.count("\n") == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(("launcher", "name"), [("ray", "ray"), ("slurm", "submitit")])
def test_a_library_that_is_missing_is_named(
    launcher: str,
    name: str,
    tmp_path: Path,
    shop: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    code = main(
        ["run", "task=shop/churn", "method=constant", f"launcher={launcher}", f"results_dir={tmp_path / 'results'}"]
    )
    assert code == 2
    assert (
        f"needs the package {name}; install it with: pip install 'relbench-harness[{launcher}]'" in capsys.readouterr().err
    )
