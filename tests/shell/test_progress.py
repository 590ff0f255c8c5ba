"""Progress is drawn on a terminal and nowhere else; a file gets one line for each phase and each epoch with -v."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from relbench_harness.cli import main
from relbench_harness.progress import Work, track, watched, work

COMMAND = [sys.executable, "-m", "relbench_harness.cli"]
TASK = "task=little-shop/churn"


def on_a_terminal(command: list[str], patience: float = 0.0, both: bool = False, code: int = 0) -> tuple[str, str]:
    """(standard output, standard error) of a command whose standard error is a terminal and whose output is a pipe.

    With `both` the terminal gets standard output as well.
    """
    ours, theirs = pty.openpty()
    script = (
        f"import sys, relbench_harness.bars as bars; bars.PATIENCE = {patience}; "
        "from relbench_harness.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, *command],
        stdout=theirs if both else subprocess.PIPE,
        stderr=theirs,
        text=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "160"},
    ) as running:
        os.close(theirs)
        seen = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:
                break
            if not piece:
                break
            seen += piece
        said = "" if running.stdout is None else running.stdout.read()
    os.close(ours)
    assert running.returncode == code, seen.decode()
    return said, seen.decode()


def left_on(drawn: str) -> list[str]:
    """The lines that a terminal shows in the end: carriage returns, line feeds, cursor up and erase line are obeyed."""
    lines, row, column = [""], 0, 0
    for sign in re.findall(r"\x1b\[\??[\d;]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", drawn):
        if sign == "\r":
            column = 0
        elif sign == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif sign.endswith("A") and sign[0] == "\x1b":
            row = max(0, row - int(sign[2:-1] or 1))
        elif sign == "\x1b[2K":
            lines[row] = ""
        elif sign[0] != "\x1b":
            lines[row] = lines[row].ljust(column)[:column] + sign + lines[row][column + len(sign) :]
            column += len(sign)
    return [line.rstrip() for line in lines if line.strip()]


@pytest.mark.thorough
def test_a_terminal_keeps_what_is_said_while_bars_are_drawn(shop_path: Path, tmp_path: Path) -> None:
    small = ["method.epochs=2", f"results_dir={tmp_path}"]
    sweep = ["run", "-m", f"{TASK},little-shop/none", "method=gnn", "guard=none", "seed=0,1", *small]
    _, drawn = on_a_terminal(sweep, both=True, code=2)
    shown = left_on(drawn)
    # what cannot be is said before anything is run
    assert len(shown) == 4 and all("no task 'none' in dataset little-shop" in line for line in shown[:2])
    assert [line[:34] for line in shown[2:]] == [f"little-shop/churn  gnn  seed={seed}  fr" for seed in (0, 1)]
    assert all("roc_auc val" in line and line.endswith(" s") for line in shown[2:])


def test_a_terminal_shows_runs_phases_and_epochs_with_their_score(shop_path: Path, tmp_path: Path) -> None:
    sweep = ["run", "-m", TASK, "method=gnn", "seed=0,1", "method.epochs=6"]
    said, drawn = on_a_terminal([*sweep, f"results_dir={tmp_path}"])
    assert "runs" in drawn and "1/2" in drawn
    assert "gnn on little-shop/churn, seed 1" in drawn
    assert "phase fit" in drawn
    assert re.search(r"epoch .*[1-6]/6 validation 0\.\d{4}", drawn)
    # the cursor's lines are cleared at the end, and standard output holds the results alone
    assert "\x1b[2K" in drawn
    lines = said.splitlines()
    assert len(lines) == 2 and all(
        re.match(r"little-shop/churn  gnn  seed=[01]  frozen  roc_auc val", line) for line in lines
    )


@pytest.mark.thorough
def test_a_terminal_shows_feature_blocks(shop_path: Path, tmp_path: Path) -> None:
    _, drawn = on_a_terminal(["run", TASK, "method=lightgbm", f"results_dir={tmp_path}"])
    assert "feature blocks" in drawn and "boosters" in drawn


def test_a_terminal_shows_rows_of_an_import(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    times = pd.date_range("2024-01-01", periods=400_000, freq="min")
    pd.DataFrame({"id": range(400_000), "value": 0.5, "at": times}).to_csv(source / "things.csv", index=False)
    out = ["--out", str(tmp_path / "out"), "--yes"]
    _, drawn = on_a_terminal(["dataset", "new", "made", "--from", str(source), *out])
    assert re.search(r"rows .*\d+,\d{3} of things", drawn)


def test_what_is_quick_draws_nothing(shop_path: Path) -> None:
    said, drawn = on_a_terminal(["list", "methods"], patience=30.0)
    assert drawn == "" and "gnn" in said


@pytest.mark.thorough
def test_a_file_gets_lines_only_when_asked(shop_path: Path, tmp_path: Path) -> None:
    run = ["run", "-m", TASK, "method=gnn", "seed=0,1", "method.epochs=3"]
    into = [f"results_dir={tmp_path / 'quiet'}"]
    quiet = subprocess.run([*COMMAND, *run, *into], capture_output=True, text=True, check=True)
    assert quiet.stderr == ""
    told = subprocess.run(
        [*COMMAND, *run, f"results_dir={tmp_path / 'told'}", "-v"], capture_output=True, text=True, check=True
    )
    lines = told.stderr.splitlines()
    assert "\x1b" not in told.stderr
    assert [line for line in lines if line.startswith("run: ")] == [
        f"run: {TASK} method=gnn seed={seed} method.epochs=3 results_dir={tmp_path / 'told'}" for seed in (0, 1)
    ]
    assert len([line for line in lines if re.fullmatch(r"epoch: 3 of 3, validation \d\.\d{4}", line)]) == 2
    assert {"phase load", "phase labels", "phase fit", "phase predict"} <= {line.partition(":")[0] for line in lines}


@pytest.mark.thorough
def test_the_lines_of_a_sweep_show_what_was_swept(
    shop_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = [
        "-m",
        TASK,
        "method=lightgbm",
        "seed=1,2",
        "method.n_estimators=3,4",
        "budget.threads=1",
        f"results_dir={tmp_path}",
    ]
    assert main(["run", *sweep]) == 0
    settings = [line.split("  ")[2] for line in capsys.readouterr().out.splitlines()]
    assert settings == [f"seed={seed} method.n_estimators={rounds}" for seed in (1, 2) for rounds in (3, 4)]


class Recorder:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, float, str]] = []

    def started(self, work: Work) -> None:
        self.told.append(("started", work.label, work.done, work.note))

    def moved(self, work: Work) -> None:
        self.told.append(("moved", work.label, work.done, work.note))

    def ended(self, work: Work) -> None:
        self.told.append(("ended", work.label, work.done, work.note))


def test_observers_are_told_of_work_while_they_watch() -> None:
    recorder = Recorder()
    assert list(track("ab", "unwatched")) == ["a", "b"]
    with watched(recorder):
        assert list(track("ab", "letters")) == ["a", "b"]
        with pytest.raises(ValueError, match="no"), work("broken") as one:
            one.at(7, "so far")
            raise ValueError("no")
    with work("unwatched"):
        pass
    assert recorder.told == [
        ("started", "letters", 0, ""), ("moved", "letters", 1, ""), ("moved", "letters", 2, ""), ("ended", "letters", 2, ""),
        ("started", "broken", 0, ""), ("moved", "broken", 7, "so far"), ("ended", "broken", 7, "so far"),
    ]  # fmt: skip
