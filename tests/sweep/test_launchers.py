"""The same sweep by every launcher: equal scores, every run once, and whatever happens to workers is made good."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from relbench_harness.board.store import read_results
from relbench_harness.cli import main

COMMAND = [sys.executable, "-m", "relbench_harness.cli"]
TREE = ["method=constant,label_history,lightgbm_simple", "seed=0,1", "budget.threads=1"]
SWEEP = ["run", "-m", "task=shop/churn", *TREE]
LAUNCHERS = {
    "local": (["launcher=local"], None),
    "joblib": (["launcher=joblib"], "joblib"),
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


@pytest.mark.parametrize("launcher", LAUNCHERS)
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
