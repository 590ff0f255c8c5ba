"""A method in a process of its own: whatever it does is one result of the right kind, and nothing of it is left."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import bad_methods as bad
import numpy as np
import psutil
import pyarrow as pa
import pytest
from shop_folder import write_shop

from relbench_harness.data.cache import cache_home
from relbench_harness.data.dataset import Dataset
from relbench_harness.errors import InputError, ResultWarning
from relbench_harness.progress import Work, watched
from relbench_harness.protocol import sandbox, servers
from relbench_harness.protocol.limits import Limits
from relbench_harness.protocol.method import Budget, Method
from relbench_harness.protocol.process_tree import marked
from relbench_harness.protocol.result import Result
from relbench_harness.protocol.run import Run
from relbench_harness.protocol.sandbox import Sandbox
from relbench_harness.protocol.stages import Stages

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="isolation needs Linux")
BUDGET = Budget(threads=1, device="cpu")


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Stages:
    shop: Dataset = write_shop(tmp_path_factory.mktemp("sandboxed") / "shop")
    return Stages(shop, shop.task("churn"), "rolling")


@pytest.fixture(scope="module", autouse=True)
def no_server_is_left() -> Iterator[None]:
    yield
    servers.close_all()


def left() -> list[str]:
    """Processes of this module's runs that are still there."""
    found = []
    for server in servers._idle:
        below = {process.pid for process in psutil.Process(server.process.pid).children(recursive=True)}
        found += [
            f"{pid} {psutil.Process(pid).cmdline()}" for pid in below | set(marked(server.mark)) - {server.process.pid}
        ]
    sleepers = [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == bad.SLEEPER]
    return found + [str(process) for process in sleepers]


def result_of(stages: Stages, method: Method, **limits: float) -> Result:
    isolation = Sandbox("process", Limits(**{"seconds": 60, "memory_mb": 3000, **limits}))  # type: ignore[arg-type]
    result = Run(stages, method, type(method).__name__, BUDGET, isolation=isolation).execute().result
    assert left() == []
    assert list((cache_home() / "runs").iterdir()) == []
    return result


CASES = [
    (bad.AllocatesWithoutEnd(), {"memory_mb": 700}, "out_of_memory", "took more than the 700 MB that limits.memory_mb allows"),
    (bad.ReservesWithoutEnd(), {"memory_mb": 700}, "out_of_memory", "Unable to allocate"),
    (bad.NeverReturns(), {"seconds": 1}, "timeout", "longer than the 1 seconds that limits.seconds allows"),
    (bad.CatchesEverything(), {"seconds": 1}, "timeout", "longer than the 1 seconds"),
    (bad.Segfaults(), {}, "error", "ended by SIGSEGV, a fault in compiled code"),
    (bad.KillsItself(), {}, "killed", "ended by SIGKILL"),
    (bad.KillsItsServer(), {}, "killed", "killed from elsewhere"),
    (bad.LeavesChildren(), {}, "ok", ""),
    (bad.Forks(), {"processes": 40}, "killed", "more than the 40 processes that limits.processes allows"),
    (bad.PrintsWithoutEnd(), {}, "ok", ""),
    (bad.PrintsAndFails(), {}, "error", "RuntimeError: after all that"),
    (bad.AnswersNaN(), {}, "invalid_predictions", "NaN"),
    (bad.AnswersTheWrongShape(), {}, "invalid_predictions", "have shape"),
    (bad.AnswersObjects(), {}, "invalid_predictions", "object, expected numbers"),
    (bad.AnswersNothing(), {}, "invalid_predictions", "expected numbers"),
    (bad.WritesPickles(), {}, "invalid_predictions", "the answer cannot be read"),
    (bad.DeletesItsFolder(), {}, "ok", ""),
    (bad.StartsThreads(), {}, "ok", ""),
    (bad.Exits(), {}, "invalid_predictions", "ended without an answer to every split"),
    (bad.ExitsWithACode(), {}, "error", "exit code 3"),
    (bad.Raises("KeyboardInterrupt"), {}, "error", "KeyboardInterrupt"),
    (bad.Raises("SystemExit"), {}, "error", "SystemExit: no more"),
    (bad.Raises("MemoryError"), {}, "out_of_memory", "MemoryError: the matrix of 3 TB"),
    (bad.Raises("TimeoutError"), {}, "timeout", "TimeoutError: no time left"),
    (bad.Raises("ZeroDivisionError"), {}, "error", "ZeroDivisionError: one by zero"),
    (bad.WritesWithoutEnd(), {"disk_mb": 40}, "killed", "wrote more than the 40 MB that limits.disk_mb allows"),
    (bad.OpensWithoutEnd(), {"open_files": 200}, "error", "Too many open files"),
    (bad.SpeaksForTheHarness(), {}, "error", "answered test out of turn"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "limits", "status", "said"), CASES, ids=[getattr(case[0], "name", type(case[0]).__name__) for case in CASES]
)
def test_what_a_method_does_is_one_result(
    stages: Stages, method: Method, limits: dict[str, float], status: str, said: str
) -> None:
    begin = time.monotonic()
    result = result_of(stages, method, **limits)
    assert (result.status, said in (result.error or "")) == (status, True), result.error
    assert "\n" not in (result.error or "")
    assert result.isolation == "process" and result.limits["seconds"]["value"] == limits.get("seconds", 60)
    assert time.monotonic() - begin < 30
    # the next run goes on
    assert result_of(stages, bad.Fine()).ok


def test_the_traceback_and_what_was_printed_last_are_kept(stages: Stages) -> None:
    result = result_of(stages, bad.PrintsAndFails())
    assert result.traceback is not None and 'raise RuntimeError("after all' in result.traceback
    assert "the last line" in result.traceback and len(result.traceback) < 100_000
    result = result_of(stages, bad.Segfaults())
    assert result.traceback is not None and "string_at" in result.traceback


class Seen:
    """Watches progress."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.notes: list[str] = []
        self.over: list[str] = []

    def started(self, work: Work) -> None:
        self.begun.append(work.label)

    def moved(self, work: Work) -> None:
        self.notes.append(f"{work.label} {work.done:g} of {work.total or 0:g} {work.note}")

    def ended(self, work: Work) -> None:
        self.over.append(work.label)


def test_log_warnings_and_progress_reach_the_user(stages: Stages, caplog: pytest.LogCaptureFixture) -> None:
    seen = Seen()
    caplog.set_level(logging.INFO, "relbench_harness")
    with watched(seen), pytest.warns(ResultWarning, match="a result to look at"):
        spoken = result_of(stages, bad.Speaks())
    assert spoken.ok
    assert spoken.learning_curves["epoch"] == [[1, 2]] and spoken.learning_curves["validation"] == [[0.5, 0.75]]
    assert "a line of the log" in caplog.text and "a line that nobody wants" not in caplog.text
    assert ("relbench_harness.bad", logging.INFO, "a line of the log") in caplog.record_tuples
    assert {"phase fit", "epochs", "phase predict"} <= set(seen.begun) and sorted(seen.begun) == sorted(seen.over)
    assert any(note.startswith("epochs") and "of 3 loss 0.5" in note for note in seen.notes)
    # what is under way when a run is ended is over as well
    seen = Seen()
    with watched(seen):
        assert result_of(stages, bad.NeverReturns(), seconds=1).status == "timeout"
    assert "phase fit" in seen.begun and sorted(seen.begun) == sorted(seen.over)


def test_a_method_that_cannot_be_sent_is_refused_in_one_sentence(stages: Stages) -> None:
    with pytest.raises(InputError, match="Unpicklable cannot be sent to a process of its own"):
        result_of(stages, bad.Unpicklable())


def test_seconds_add_up_and_memory_is_that_of_the_method_alone(stages: Stages) -> None:
    result_of(stages, bad.Fine())
    result = result_of(stages, bad.Fine())
    phases = dict(result.seconds)
    total = phases.pop("total")
    assert sum(phases.values()) == pytest.approx(total, abs=0.05) and min(phases.values()) >= 0
    assert {"load", "labels", "fit", "predict", "score", "isolation"} <= set(phases)
    assert 20 < result.peak_memory_mb < 1000


SWEEP = """
import sys
sys.path[:0] = {path!r}
from pathlib import Path
import bad_methods as bad
from shop_folder import write_shop
from relbench_harness.cli import _ended_by_signals
from relbench_harness.protocol.limits import Limits
from relbench_harness.protocol.method import Budget
from relbench_harness.protocol.run import Run
from relbench_harness.protocol.sandbox import Sandbox
from relbench_harness.protocol.stages import Stages

class Waits(bad.LeavesChildren):
    def fit(self, train, valid, budget):
        super().fit(train, valid, budget)
        Path({ready!r}).touch()
        bad.NeverReturns().fit(train, valid, budget)

shop = write_shop(Path({folder!r}))
with _ended_by_signals():
    Run(Stages(shop, shop.task("churn"), "rolling"), Waits(), "waits", Budget(), isolation=Sandbox()).execute()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_the_harness(tmp_path: Path, number: signal.Signals) -> None:
    ready = tmp_path / "ready"
    script = SWEEP.format(path=[p for p in sys.path if p], ready=str(ready), folder=str(tmp_path / "shop"))
    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL) as run:
        until = time.monotonic() + 60
        while not ready.exists() and time.monotonic() < until:
            time.sleep(0.05)
        tree = psutil.Process(run.pid).children(recursive=True)
        assert len(tree) >= 3
        os.kill(run.pid, number)
        begin = time.monotonic()
        run.wait(20)
    _, alive = psutil.wait_procs(tree, 5)
    assert alive == [] and time.monotonic() - begin < 5
    assert left() == []


SECRET = 7_391_846.215
"""What every label of the test split is near."""


@pytest.mark.parametrize("name", ["process", pytest.param("sealed", marks=pytest.mark.thorough)])
def test_labels_of_the_test_split_are_nowhere_in_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: Literal["process", "sealed"]
) -> None:
    shop = write_shop(tmp_path / "shop")
    stages = Stages(shop, shop.task("spend"), "rolling")
    table = stages.labels("test")
    stages._tables["test"] = replace(table, target=pa.array(SECRET + np.arange(len(table)) / 1024))

    remove = sandbox._remove

    def keep_and_remove(folder: Path) -> None:
        if (folder / "own" / "kept").is_dir():
            (folder / "own" / "kept").rename(tmp_path / "kept")
        remove(folder)

    monkeypatch.setattr(sandbox, "_remove", keep_and_remove)
    result = Run(stages, bad.Keeps(), "keeps", BUDGET, isolation=Sandbox(name)).execute().result
    assert result.ok, result.error
    assert result.scores["test"]["mae"] > SECRET / 2
    files = list((tmp_path / "kept").iterdir())
    assert {"examples.pickle", "job.pickle", "0.arrow", "memory"} <= {file.name.partition("-")[2] for file in files}
    shown = stages.examples("train").values[0]
    assert any(np.float64(shown).tobytes() in file.read_bytes() for file in files)
    for file in files:
        content = file.read_bytes()
        for offset in range(8):
            numbers = np.frombuffer(content, np.float64, (len(content) - offset) // 8, offset)
            with np.errstate(invalid="ignore"):
                assert not (np.abs(numbers - SECRET) < 1).any(), file.name
