"""The process of one isolated run, from its fork to its end: it confines itself, does the method's side, and says what came of it.

Invariant: what it has of a run is what lies in the folder that was handed over; of the test split it has nothing before the
harness has taken its answer to validation. It leaves by `_exit`, so threads that a method left running hold nothing up.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import pickle
import resource
import signal
import socket
import sys
import time
import traceback
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, cast

import numpy as np
import psutil
from numpy.typing import NDArray

from relbench_harness.errors import ResultWarning
from relbench_harness.progress import Work, watched
from relbench_harness.protocol.budget import Budget, Countdown
from relbench_harness.protocol.handover import Reader
from relbench_harness.protocol.limits import Limits
from relbench_harness.protocol.machine import device_peak_mb, gpu
from relbench_harness.protocol.messages import LONGEST_NOTES, Speaker, end_of, plain
from relbench_harness.protocol.method import Examples, Method
from relbench_harness.protocol.namespaces import Seal, SealError
from relbench_harness.protocol.process_state import process_state
from relbench_harness.protocol.process_tree import die_with_parent
from relbench_harness.protocol.processor_time import OfChildren
from relbench_harness.protocol.work import (
    Answered,
    Assignment,
    FitOn,
    InvalidPredictionsError,
    Keep,
    Kept,
    do,
    kind_of,
    said_of,
    trace_of,
)
from relbench_harness.timing import timed, with_processes

GIVEN, ANSWERS, OWN = "given", "answers", "own"
"""Folders of a run: what the method may see, what it answered, and where it may write what it likes."""
KEPT = "kept"
"""The folder, beside the answers, of the files of a fitted method."""
JOB = "job.pickle"
OURS = "relbench_harness."
PACKAGES = frozenset(
    {
        "duckdb",
        "featuretools",
        "lightgbm",
        "numba",
        "pandas",
        "relbench",
        "scipy",
        "sklearn",
        "torch",
        "torch_geometric",
        "xgboost",
    }
)
"""Packages that take long to load, and that a process may load and then fork."""
EARLY, LATE = "early", "late"
"""What is handed over at the start, and once validation is answered."""
SPARE_MB = 2048
"""What a process may map beyond twice the limit on memory, before the system refuses it."""

THREADS = 8
"""Threads that each process may have, on average, before the system refuses more."""


@dataclass(frozen=True)
class Job:
    """What the harness hands to the process of a run, beside the examples.

    Attributes:
        method: The method, pickled.
        begin: When the run began, by the system's monotonic clock.
        path: Where modules are looked for.
        level: From which level lines of the log are passed on.
        observed: Whether anybody watches the progress.
        entrance: Where the process enters its control group, if it has one.
        keep: Makes files of the fitted method, where it is to be kept.
        seal: How the process is cut off from the rest of the machine, if it is.
    """

    method: bytes
    name: str
    budget: Budget
    begin: float
    fit_on: FitOn
    limits: Limits
    path: tuple[str, ...]
    level: int
    observed: bool
    seal: Seal | None = None
    entrance: Path | None = None
    keep: Keep | None = None


def main(folder: Path, control: int, output: int, server: int) -> NoReturn:
    """Everything that the process does; it never returns."""
    speaker = Speaker(socket.socket(fileno=control))
    code = 70
    try:
        _confine(folder, output, server)
        with (folder / GIVEN / JOB).open("rb") as file:
            job: Job = pickle.load(file)
        if job.entrance is not None:
            job.entrance.write_text("0", encoding="ascii")
        _limit(job.limits, job.seal is not None)
        if job.seal is not None:
            job.seal.enter(speaker.socket)
            speaker.say(sealed=True)
        sys.path[:] = job.path
        _report(job, folder, speaker)
        code = 0
    except SealError as refusal:
        speaker.say(refused=str(refusal))
    except BaseException as failure:
        with suppress(BaseException):
            status = "bad_input" if kind_of(failure) == "bad_input" else "error"
            trace = "".join(traceback.format_exception(failure))
            speaker.say(report={"status": status, "error": said_of(failure), "traceback": end_of(trace)})
    finally:
        # without waiting for threads, and without what a method registered for the end
        os._exit(code)


def _confine(folder: Path, output: int, server: int) -> None:
    """A session, streams and a working folder of its own; its end comes with that of the server."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    die_with_parent(server)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    for mine, given in ((0, nowhere), (1, output), (2, output)):
        os.dup2(given, mine)
    os.close(nowhere)
    os.close(output)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", errors="replace", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="replace", buffering=1, closefd=False)  # noqa: SIM115
    faulthandler.enable(2)
    own = folder / OWN
    os.environ["TMPDIR"] = str(own)
    os.chdir(own)
    # the system's own choice, should memory be short
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _limit(limits: Limits, sealed: bool) -> None:
    """What the system itself refuses. Most of it lies beyond the limits, which the harness keeps by watching.

    How many processes and threads there are counts for a whole user, and in a namespace of its own for a run alone.
    """
    disk = limits.disk_mb * 2**20
    memory = ((limits.memory_mb or 0) * 2 + SPARE_MB) * 2**20
    for what, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_FSIZE, 2 * disk),
        (resource.RLIMIT_DATA, memory),
        (resource.RLIMIT_NPROC, limits.processes * THREADS + (0 if sealed else tasks_of_user())),
    ):
        hard = resource.getrlimit(what)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (value, value))


def tasks_of_user() -> int:
    """Processes and threads of this user; the system counts none of root's."""
    if os.getuid() == 0:
        return 0
    counted = psutil.process_iter(["uids", "num_threads"])
    own = [process.info for process in counted if process.info["uids"] and process.info["uids"].real == os.getuid()]
    return sum(info["num_threads"] or 1 for info in own)


@dataclass
class _Files:
    """The examples that lie in a run's folder. Those of the test split are there once validation is answered."""

    folder: Path
    _reader: Reader = field(default_factory=Reader)
    _read: dict[str, Examples] = field(default_factory=dict)

    def _examples(self, when: str, name: str) -> Examples:
        if name not in self._read:
            self._read |= self._reader.read(self.folder / GIVEN / when)
        return self._read[name]

    def training(self) -> tuple[Examples, Examples]:
        return self._examples(EARLY, "train"), self._examples(EARLY, "valid")

    def validation(self) -> Examples:
        return self._examples(EARLY, "val")

    def final_training(self) -> Examples:
        return self._examples(LATE, "final")

    def test(self) -> Examples:
        return self._examples(LATE, "test")


def _report(job: Job, folder: Path, speaker: Speaker) -> None:
    """Does the method's side and says what came of it."""
    _pass_on(speaker, job.level)
    notes: dict[str, Any] = {}

    def hand_in(split: Answered, predictions: NDArray[np.generic]) -> None:
        _write_answer(folder / ANSWERS, split, predictions)
        speaker.say(answered=split)
        speaker.hear()

    report: dict[str, Any] = {"status": "ok"}
    with watched(_Progress(speaker) if job.observed else _Nobody()), timed() as watch:
        try:
            method = cast(Method, pickle.loads(job.method))
            assignment = Assignment(method, job.name, Countdown(job.budget, job.begin), job.fit_on, job.keep)
            with process_state(job.budget.seed, job.budget.threads), with_processes(OfChildren().seconds):
                kept = do(assignment, _Files(folder), hand_in, notes)
                if kept is not None:
                    _write_kept(folder / ANSWERS / KEPT, kept)
                    report["kept"] = end_of(kept.refused)
                report |= {"device_mb": device_peak_mb(), "gpu": gpu()}
        except BaseException as failure:
            report |= {
                "status": kind_of(failure),
                "error": end_of(said_of(failure)),
                "traceback": end_of(trace_of(failure)),
            }
    phases = {"wall": watch.wall, "cpu": watch.cpu, "restored": watch.restored}
    speaker.say(report={**report, **phases, "notes": _short(notes), "modules": _modules()})


def _modules() -> list[str]:
    """Modules that the run loaded and that the next one of its kind should find loaded."""
    return sorted(name for name in sys.modules if name in PACKAGES or name.startswith(OURS))


def _short(notes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The notes of a method, those that are too long left out."""
    import json

    kept = {
        str(name): value for name, value in notes.items() if len(json.dumps(value, default=plain)) < LONGEST_NOTES // 10
    }
    return kept if len(json.dumps(kept, default=plain)) < LONGEST_NOTES else {}


def _write_answer(folder: Path, split: Answered, predictions: NDArray[np.generic]) -> None:
    if predictions.dtype.hasobject:
        raise InvalidPredictionsError(f"predictions are {predictions.dtype}, expected numbers")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{split}.npy").open("wb") as file:
        np.save(file, predictions, allow_pickle=False)


def _write_kept(folder: Path, kept: Kept) -> None:
    folder.mkdir(parents=True)
    for name, content in kept.files.items():
        (folder / name).write_bytes(content)


# -- what reaches the user ------------------------------------------------------------------------------------------------


class _ToHarness(logging.Handler):
    """Passes lines of the log on."""

    def __init__(self, speaker: Speaker) -> None:
        super().__init__()
        self._speaker = speaker

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(Exception):
            text = record.getMessage()
            if record.exc_info:
                text += "\n" + "".join(traceback.format_exception(*record.exc_info))
            self._speaker.say(log=end_of(text), level=record.levelno, logger=record.name)


def _pass_on(speaker: Speaker, level: int) -> None:
    """The harness's own log, and warnings about results, go to the user; all else to the streams."""
    ours = logging.getLogger("relbench_harness")
    ours.handlers = [_ToHarness(speaker)]
    ours.setLevel(level)
    ours.propagate = False
    shown = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, ResultWarning):
            speaker.say(warning=end_of(str(message)))
        else:
            shown(message, category, *where, **more)

    warnings.showwarning = show
    warnings.simplefilter("always", ResultWarning)


class _Nobody:
    """Watches nothing."""

    def started(self, work: Work) -> None: ...

    def moved(self, work: Work) -> None: ...

    def ended(self, work: Work) -> None: ...


@dataclass
class _Progress:
    """Passes progress on, no piece of work more often than five times a second."""

    speaker: Speaker
    _latest: dict[int, float] = field(default_factory=dict)

    def started(self, work: Work) -> None:
        self._latest[id(work)] = 0.0
        self._say("started", work)

    def moved(self, work: Work) -> None:
        now = time.monotonic()
        if now > self._latest.get(id(work), now) + 0.2:
            self._latest[id(work)] = now
            self._say("moved", work)

    def ended(self, work: Work) -> None:
        self._latest.pop(id(work), None)
        self._say("ended", work)

    def _say(self, event: str, work: Work) -> None:
        with suppress(OSError):
            known = {"label": work.label[:200], "total": work.total, "done": work.done, "note": work.note[:200]}
            self.speaker.say(work=event, key=id(work), **known)
