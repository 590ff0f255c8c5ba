"""What a terminal, a pipe, a locale or another process does to a command ends no run and leaves no traceback."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from relbench_harness.board.store import read_results
from relbench_harness.cli import main

TASK = "task=little-shop/churn"
COMMAND = [sys.executable, "-m", "relbench_harness.cli"]
NARROW = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What bash makes of `line`, in which `harness` is the command."""
    harness = " ".join(COMMAND)
    return subprocess.run(
        ["bash", "-c", f"harness() {{ {harness} \"$@\"; }}; {line}"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        errors="replace",
    )  # fmt: skip


@pytest.mark.thorough
def test_a_sweep_whose_output_is_cut_short_runs_to_its_end(tmp_path: Path, shop_path: Path) -> None:
    line = f"harness run -m {TASK} method=constant seed=0,1,2,3 results_dir={tmp_path} | head -1; echo ${{PIPESTATUS[0]}}"
    done = shell(line)
    assert done.stderr == "" and done.stdout.splitlines()[1:] == ["0"]
    assert [result.seed for result in read_results(tmp_path)] == [0, 1, 2, 3]


def test_a_board_whose_output_is_cut_short_is_written(tmp_path: Path, shop_path: Path) -> None:
    assert main(["run", TASK, "method=constant", f"results_dir={tmp_path}"]) == 0
    done = shell(f"harness rank {tmp_path} | true; echo ${{PIPESTATUS[0]}}")
    assert (done.stdout, done.stderr) == ("0\n", "")
    assert "constant" in (tmp_path / "leaderboard.md").read_text()


THOROUGH = pytest.mark.thorough


@pytest.mark.parametrize(
    "closed", [pytest.param(">&-", marks=THOROUGH), pytest.param("2>&-", marks=THOROUGH), ">&- 2>&-", "<&-"]
)
def test_a_closed_stream_ends_no_run(closed: str, tmp_path: Path, shop_path: Path) -> None:
    done = shell(f"harness run {TASK} method=constant results_dir={tmp_path} {closed}; echo $? >{tmp_path}/code")
    assert (tmp_path / "code").read_text() == "0\n" and "Traceback" not in done.stderr
    assert len(read_results(tmp_path)) == 1


@pytest.mark.thorough
def test_signs_that_a_locale_lacks_end_no_command(tmp_path: Path, shop_path: Path) -> None:
    query = "PREDICT COUNT(orders.*, 0, 20, days) > 1 FOR EACH customers.customer"
    copied = tmp_path / "datasets" / "little-shop"
    shutil.copytree(shop_path / "little-shop", copied)
    for line in (
        f"harness run -m {TASK} method=constant,label_history,lightgbm seed=0,1 results_dir={tmp_path}",
        f"RELBENCH_HARNESS_DATASETS={copied.parent} harness task new little-shop/again '{query}'",
        f"harness rank {tmp_path}",
        "harness run --help",
        f"harness dataset check little-shop --page {tmp_path}/p",
    ):
        done = shell(line, **NARROW)
        assert done.returncode == 0 and done.stderr == "", line


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_sweep_that_is_terminated_says_what_is_kept(
    number: signal.Signals, code: int, tmp_path: Path, shop_path: Path
) -> None:
    sweep = [*COMMAND, "run", "-m", TASK, "method=constant", f"seed={','.join(map(str, range(200)))}"]
    with subprocess.Popen(
        [*sweep, f"results_dir={tmp_path}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None and run.stderr is not None
        run.stdout.readline()
        run.send_signal(number)
        said = run.stderr.read()
        run.stdout.read()
    assert run.returncode == code
    found = re.fullmatch(r"relbench-harness: terminated; (\d+) finished .* kept, the one in progress is not\n", said)
    assert found is not None and len(read_results(tmp_path)) in (int(found[1]), int(found[1]) + 1)
    assert not list(tmp_path.rglob(".partial-*"))
