"""Under torchrun several processes make one run: its result is written once, and what they share is gone afterwards."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from relbench_harness.board.store import read_results
from relbench_harness.cli import main
from relbench_harness.data.cache import cache_home
from relbench_harness.data.names import search_path

START = "import sys; from relbench_harness.cli import main; sys.exit(main())"
SMALL = (
    "method=gnn",
    "method.channels=8",
    "method.epochs=2",
    "guard=none",
    "isolation=none",
    "budget.device=cpu",
    "budget.threads=1",
)


def together(*words: str) -> subprocess.CompletedProcess[str]:
    """The command in two processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = ["-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={port}", "--no-python"]
    return subprocess.run(
        [sys.executable, *launch, sys.executable, "-c", START, "run", "task=little-shop/churn", *words],
        env={**os.environ, "OMP_NUM_THREADS": "1", "RELBENCH_HARNESS_DATASETS": os.pathsep.join(map(str, search_path()))},
        capture_output=True,
        text=True,
        timeout=300,
    )  # fmt: skip


@pytest.mark.slow
def test_two_processes_make_one_run(tmp_path: Path, shop_path: Path) -> None:
    done = together(*SMALL, f"results_dir={tmp_path}")
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("roc_auc val") == 1
    (result,) = read_results(tmp_path)
    assert result.ok and result.notes["processes"] == 2 and 0 <= result.notes["loader_wait"] < 1
    predictions = pd.read_parquet(next(tmp_path.rglob("*.parquet")))
    assert predictions.groupby("split").size().to_dict() == {"test": 25, "val": 25}
    assert not list((cache_home() / "runs").glob("*-together"))


def test_what_cannot_be_made_together_is_refused(
    tmp_path: Path, shop_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    words = ["task=little-shop/churn", "method=constant", f"results_dir={tmp_path}"]
    assert main(["run", *words, "isolation=process"]) == 2
    assert "use isolation=none" in capsys.readouterr().err
    assert main(["run", "-m", *words, "seed=0,1", "isolation=none"]) == 2
    assert "these are 2" in capsys.readouterr().err
