"""Real processes: four sweeps at once, sweeps that are killed at any moment, workers, a full disk."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from sweep_results import children

from relbench_harness.board.store import read_results
from relbench_harness.cli import main
from relbench_harness.sweep.claims import Claims
from relbench_harness.sweep.workers import shares

COMMAND = [sys.executable, "-m", "relbench_harness.cli"]
SWEEP = ["run", "-m", "task=shop/churn,shop/spend", "method=constant,label_history", "seed=0,1,2", "budget.threads=1"]
KILLS = int(os.environ.get("RELBENCH_HARNESS_KILLS", "5"))
"""How often the sweep is killed; 50 take a quarter of an hour."""


def scores(results: Path) -> dict[tuple[str, str, int], dict[str, dict[str, float]]]:
    """What each run scored; fails where a run is there twice."""
    read = read_results(results)
    once = Counter(one.identity for one in read)
    assert set(once.values()) == {1}, once
    return {(one.task, one.method, one.seed): {k: dict(v) for k, v in one.scores.items()} for one in read}


def clean(results: Path) -> None:
    """Fails where a sweep left anything but results, predictions and plans."""
    assert not list((results / ".started").iterdir())
    assert not list(results.rglob(".partial-*"))
    assert all(path.with_suffix(".json").exists() for path in results.rglob("*.parquet"))
    for path in results.rglob("*.json"):
        json.loads(path.read_text())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, shop_home: Path) -> dict[tuple[str, str, int], object]:
    results = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELBENCH_HARNESS_DATASETS", str(shop_home))
        assert main([*SWEEP, f"results_dir={results}"]) == 0
    return dict(scores(results))


def test_four_sweeps_at_once_lose_nothing_and_double_nothing(
    tmp_path: Path, shop: Path, undisturbed: dict[tuple[str, str, int], object]
) -> None:
    sweeps = [
        subprocess.Popen([*COMMAND, *SWEEP, f"results_dir={tmp_path}"], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    shown = [sweep.communicate()[0] for sweep in sweeps]
    assert [sweep.returncode for sweep in sweeps] == [0] * 4
    assert scores(tmp_path) == undisturbed
    # each run is printed by the sweep that made it
    assert len("".join(shown).splitlines()) == 12
    clean(tmp_path)


def test_a_sweep_that_is_killed_at_any_moment_ends_with_every_run_once(
    tmp_path: Path, shop: Path, undisturbed: dict[tuple[str, str, int], object]
) -> None:
    chance = random.Random(7)
    folders = []
    killed = 0
    while killed < KILLS:
        results = tmp_path / str(len(folders))
        folders.append(results)
        command = [*COMMAND, *SWEEP, f"results_dir={results}"]
        while killed < KILLS:
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as sweep:
                # most of the kills come while runs are made, the rest while the sweep begins
                early = chance.random() < 0.2
                while not early and sweep.poll() is None and not begun(results, sweep.pid):
                    time.sleep(0.02)
                time.sleep(chance.uniform(0.0, 4.0))
                ended = sweep.poll() is not None
                sweep.kill()
            if ended:
                break
            killed += 1
    for results in folders:
        assert main([*SWEEP, f"results_dir={results}"]) == 0
        assert scores(results) == undisturbed
        clean(results)


def begun(results: Path, pid: int) -> bool:
    """Whether the process has a run."""
    return any(mark.owner is not None and mark.owner.pid == pid for mark in Claims(results).marks().values())


def test_several_jobs_give_the_scores_of_one(
    tmp_path: Path, shop: Path, undisturbed: dict[tuple[str, str, int], object]
) -> None:
    done = subprocess.run([*COMMAND, *SWEEP, "jobs=2", f"results_dir={tmp_path}"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""
    assert len(done.stdout.splitlines()) == 12 and done.stdout.count(" val ") == 12
    assert scores(tmp_path) == undisturbed
    clean(tmp_path)
    assert all(one.shared["jobs"] == 2 and one.shared["is_shared"] for one in read_results(tmp_path))
    cores = {one.machine["cores"] for one in read_results(tmp_path)}
    usable = len(os.sched_getaffinity(0))
    if usable >= 2:
        assert cores <= {usable // 2, usable - usable // 2}


SLEEPER = """
import os, subprocess, sys, time
from dataclasses import dataclass
import numpy as np


@dataclass(frozen=True)
class Sleeper:
    seconds: float = 600.0

    def fit(self, train, valid, budget):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        time.sleep(self.seconds)
        return self

    def predict(self, examples):
        return np.full(len(examples), 0.5)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_jobs_end_within_five_seconds_and_leave_no_process(
    number: signal.Signals, tmp_path: Path, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sleepers.py").write_text(SLEEPER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    results = tmp_path / "results"
    method = ["method=constant", "method._target_=sleepers.Sleeper", "guard=none"]
    command = [*COMMAND, "run", "-m", "task=shop/churn", *method, "seed=0,1", "jobs=2", f"results_dir={results}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as sweep:
        own = psutil.Process(sweep.pid)
        for _ in range(1200):
            if sum("time.sleep(600)" in " ".join(one.cmdline()) for one in children(own)) == 2:
                break
            assert sweep.poll() is None
            time.sleep(0.05)
        family = children(own)
        sweep.send_signal(number)
        begin = time.monotonic()
        sweep.wait()
        _, alive = psutil.wait_procs(family, timeout=5.0)
        seconds = time.monotonic() - begin
        assert sweep.stderr is not None
        said = sweep.stderr.read()
    assert not alive and seconds < 5.0
    if number != signal.SIGKILL:
        assert sweep.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number] and said.count("\n") == 1
        assert "0 finished runs are kept" in said


@pytest.mark.parametrize(
    ("cores", "jobs", "expected"),
    [(4, 2, [[0, 1], [2, 3]]), (5, 2, [[0, 1], [2, 3, 4]]), (3, 3, [[0], [1], [2]]), (2, 3, [[0, 1]] * 3)],
)
def test_cores_are_shared_out(cores: int, jobs: int, expected: list[list[int]]) -> None:
    assert shares(range(cores), jobs) == expected
