"""A signal that a method or a library makes another error of ends the command, and no failure of the method is stored."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from relbench_harness.ending import end_if_signalled, noted, own_signals

TASK = "task=little-shop/churn"
METHOD = '''
import os, time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Loses:
    """Makes a RuntimeError of whatever ends it, as DuckDB does."""

    def fit(self, train, valid, budget):
        Path(os.environ["BEGUN"]).touch()
        try:
            time.sleep(100)
        except BaseException:
            raise RuntimeError("Query interrupted") from None
'''


@pytest.mark.parametrize(
    ("command", "number", "code"),
    [("audit", signal.SIGTERM, 143), ("run", signal.SIGTERM, 143), ("run", signal.SIGINT, 130)],
)
def test_no_failure_is_stored(command: str, number: signal.Signals, code: int, tmp_path: Path, shop_path: Path) -> None:
    (tmp_path / "loses.py").write_text(METHOD)
    begun, results = tmp_path / "begun", tmp_path / "results"
    given = [TASK, "method=loses.Loses", "regime=frozen", f"results_dir={results}", "isolation=none"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]), "BEGUN": str(begun)}
    line = [sys.executable, "-m", "relbench_harness.cli", command, *given[: 4 if command == "audit" else 5]]
    with subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not begun.exists() and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(number)
        said = process.communicate()[1]
    assert process.returncode == code, said
    assert "Query interrupted" not in said
    assert not [*results.rglob("frozen*.json")]


def test_an_error_after_a_signal_is_that_signals() -> None:
    with pytest.raises(KeyboardInterrupt), own_signals():
        noted(KeyboardInterrupt())
        raise RuntimeError("Query interrupted")
    with pytest.raises(RuntimeError), own_signals():
        # the signal before was another block's
        end_if_signalled()
        raise RuntimeError("of its own")
