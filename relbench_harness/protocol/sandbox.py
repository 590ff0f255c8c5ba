"""A run's method in a process of its own, with limits: what happens to that process is a result, and nothing of it is left.

`process` protects the harness from accidents: a method that crashes, never returns, takes all memory, fills the disk or leaves
processes behind. Its user's files are still within reach. `sealed` takes those away as well (see `namespaces`). Invariant: the
process gets the examples that `Source` says, when it says so, and no label of the test split; once `carry_out` returns or raises,
no process of the run is left. Where this process itself is killed, its fork server ends the run; where that is killed in the same
instant, the system ends the run's own process, and outside `sealed` processes that it started may live on.
"""

from __future__ import annotations

import logging
import os
import pickle
import secrets
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import cloudpickle
import psutil

from relbench_harness import progress
from relbench_harness.data.cache import cache_home
from relbench_harness.data.names import search_path
from relbench_harness.errors import InputError, sentence
from relbench_harness.protocol.child import ANSWERS, EARLY, GIVEN, JOB, LATE, OURS, OWN, PACKAGES, Job
from relbench_harness.protocol.control_group import control_group
from relbench_harness.protocol.handover import Handover
from relbench_harness.protocol.limits import Limits
from relbench_harness.protocol.messages import number, seconds_of, text_of
from relbench_harness.protocol.method import Examples, Method
from relbench_harness.protocol.namespaces import LAYERS, ROOT, Seal, seal_of
from relbench_harness.protocol.process_tree import kill
from relbench_harness.protocol.servers import Kind, ServerGoneError, borrowed, environment_of, module_path, prepare, waited
from relbench_harness.protocol.watch import Watch, read_kept
from relbench_harness.protocol.work import Assignment, HandIn, Kept, Report, WholeSource
from relbench_harness.timing import phase

ANSWER = 3.5
"""Seconds within which a fork server says that a run has ended, once it is ordered to end it."""
OVERHEAD = "isolation"
"""The phase of what isolation itself takes: writing what is handed over, starting and ending the process."""


@dataclass(frozen=True)
class Sandbox:
    """Carries out a method's side in a process of its own.

    Attributes:
        modules: Modules of the method's classes, by which runs share a fork server; those of the method's own class if none.
        hidden: Folders of data and results, which a sealed process must not find inside folders of code.
    """

    name: Literal["process", "sealed"] = "process"
    limits: Limits = field(default_factory=Limits)
    modules: tuple[str, ...] = ()
    hidden: tuple[Path, ...] = ()

    def start(self, method: Method) -> None:
        """Begins to start what the run will need, so that it is ready by the time when the data is."""
        prepare(self._kind(method))

    def _kind(self, method: Method) -> Kind:
        modules = self.modules or (type(method).__module__,)
        return Kind(tuple(sorted(set(modules))), environment_of(self.name == "sealed"))

    def carry_out(self, assignment: Assignment, source: WholeSource, hand_in: HandIn) -> Report:
        with phase(OVERHEAD):
            limits = self.limits.of_run(assignment.budget)
            pickled = _pickled(assignment.method)
            kind = self._kind(assignment.method)
            with borrowed(kind) as server, run_folder() as folder, control_group(limits) as group:
                handed = _Handed(folder / GIVEN, source, assignment.fit_on == "train+val")
                handed.early()
                job = Job(
                    method=pickled,
                    name=assignment.name,
                    budget=assignment.budget,
                    begin=assignment.countdown.begin,
                    fit_on=assignment.fit_on,
                    limits=limits,
                    path=tuple(module_path()),
                    level=logging.getLogger("relbench_harness").getEffectiveLevel(),
                    observed=progress.is_watched(),
                    seal=self._seal(folder, limits) if self.name == "sealed" else None,
                    entrance=None if group is None else group.entrance,
                    keep=assignment.keep,
                )
                (folder / GIVEN / JOB).write_bytes(pickle.dumps(job))
                watch = Watch(server, folder, limits, hand_in, handed.late, self.name == "sealed", group)
                _carried_out(watch)
                report = _report(watch)
                if watch.report is not None and server.is_usable:
                    server.learn(_modules(watch.report))
            return report

    def _seal(self, folder: Path, limits: Limits) -> Seal:
        for part in (ROOT, LAYERS):
            (folder / part).mkdir()
        plugins = {Path(path) for name in self.modules for path in _package_folders(name)}
        data = [*search_path(), *self.hidden]
        return seal_of(folder, (folder / GIVEN, folder / OWN), plugins, data, max((limits.memory_mb or 2) // 2, 1))


def _package_folders(module: str) -> list[str]:
    """Where the package of a loaded module lies, which may be beside all folders in which modules are looked for."""
    package = sys.modules.get(module.partition(".")[0])
    return [str(path) for path in getattr(package, "__path__", ())]


@dataclass(frozen=True)
class _Handed:
    """Writes a run's examples into its folder, those of the test split later than the others."""

    folder: Path
    source: WholeSource
    again: bool
    _handover: list[Handover] = field(default_factory=list)

    def early(self) -> None:
        with phase("labels"):
            train, valid = self.source.training()
            val = self.source.validation()
            self._handover.append(Handover(self.source.database, self.source.fingerprint))
        self._handover[0].write(self.folder / EARLY, {"train": train, "valid": valid, "val": val})

    def late(self) -> None:
        with phase("labels"):
            examples: dict[str, Examples] = {"final": self.source.final_training()} if self.again else {}
            examples["test"] = self.source.test()
        self._handover[0].write(self.folder / LATE, examples)


def _pickled(method: Method) -> bytes:
    try:
        return bytes(cloudpickle.dumps(method))
    except Exception as error:
        raise InputError(
            f"{type(method).__name__} cannot be sent to a process of its own ({' '.join(str(error).split())}); "
            "make it from plain fields, or run it with isolation=none"
        ) from None


# -- the run's folder -----------------------------------------------------------------------------------------------------


@contextmanager
def run_folder() -> Iterator[Path]:
    """A folder for one run, beside the cached databases so that files can have a second name in it; gone afterwards.

    Folders of runs whose harness was killed are removed as well.
    """
    home = cache_home() / "runs"
    own = psutil.Process()
    folder = home / f"{own.pid}-{own.create_time():.0f}-{secrets.token_hex(6)}"
    try:
        home.mkdir(parents=True, exist_ok=True)
        _clear(home)
        folder.mkdir(mode=0o700)
        for part in (GIVEN, ANSWERS, OWN):
            (folder / part).mkdir()
    except OSError as error:
        raise InputError(f"a run cannot have a folder of its own in {home}: {sentence(error)}") from None
    try:
        yield folder
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    """Removes a run's folder, folders that its owner may not enter included."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        for place, inner, _ in os.walk(folder):
            for path in (place, *(os.path.join(place, name) for name in inner)):
                if not os.path.islink(path):
                    with suppress(OSError):
                        os.chmod(path, 0o700)
        shutil.rmtree(folder, ignore_errors=True)


def _clear(home: Path) -> None:
    """Removes folders whose owner has ended."""
    for folder in home.iterdir():
        pid, _, rest = folder.name.partition("-")
        if pid.isdigit():
            with suppress(psutil.Error):
                if f"{psutil.Process(int(pid)).create_time():.0f}" == rest.partition("-")[0]:
                    continue
            _remove(folder)


# -- the run's process ----------------------------------------------------------------------------------------------------


def _carried_out(watch: Watch) -> None:
    """Starts the process, follows it to its end, and ends all that it started, whatever happens here meanwhile."""
    control, theirs = socket.socketpair()
    output, printed = os.pipe()
    started = False
    try:
        with control:
            with theirs:
                try:
                    watch.server.say({"run": str(watch.folder)}, theirs.fileno(), printed)
                    started = True
                finally:
                    os.close(printed)
            watch.follow(control, output)
            _ended(watch)
            watch.drain(output, 1 << 14)
    except ServerGoneError:
        raise InputError("the process that starts runs could not be started; isolation=none does without it") from None
    finally:
        os.close(output)
        watch.close()
        if started and watch.ended is None:
            _ended(watch)


def _ended(watch: Watch) -> None:
    """Ends the run's processes and waits for them."""
    server = watch.server
    if watch.ended is None:
        with suppress(ServerGoneError):
            server.say({"end": True})
        message = waited(server, ANSWER)
        if message is not None and "ended" in message:
            watch.ended = (int(message["ended"]), float(message["cpu"]))
    if watch.ended is None:
        # it does not answer, so it is not used again
        server.process.kill()
    if left := server.below():
        kill(left)
    if watch.ended is None:
        server.close()
        watch.ended = (signal.SIGKILL, 0.0)


# -- what came of it ------------------------------------------------------------------------------------------------------


def _report(watch: Watch) -> Report:
    verdict = watch.judged()
    said = watch.report or {}
    spent = time.monotonic() - watch.begin - watch.busy
    wall = seconds_of(said, "wall", spent) or {"predict" if watch.answered else "fit": spent}
    tree = watch.ended[1] if watch.ended is not None else 0.0
    # a process that was ended said nothing of its phases
    cpu = seconds_of(said, "cpu", float("inf")) or ({} if said else dict.fromkeys(wall, tree))
    failed = verdict.status != "ok"
    notes = said.get("notes")
    device = said.get("device_mb")
    return Report(
        status=verdict.status,
        error=verdict.error if failed else None,
        traceback=_traceback(watch, said) if failed else None,
        notes=notes if isinstance(notes, dict) else {},
        wall={**wall, OVERHEAD: wall.get(OVERHEAD, 0.0) - sum(wall.values())},
        cpu={**cpu, OVERHEAD: cpu.get(OVERHEAD, 0.0) + max(tree - sum(cpu.values()), 0.0)},
        restored=seconds_of(said, "restored", 1e9),
        peak_memory_mb=watch.peak_mb,
        peak_device_memory_mb=float(device) if number(device) else 0.0,  # type: ignore[arg-type]
        gpu=text_of(said, "gpu", 200),
        limits=watch.limits.in_force(MEANS if watch.group is None else {**MEANS, **BY_GROUP}),
        kept=None if failed else _kept(watch, said),
    )


def _kept(watch: Watch, said: Mapping[str, Any]) -> Kept | None:
    """The fitted method, where the process says that it was to be kept."""
    refused = text_of(said, "kept", 400)
    return None if refused is None else Kept({} if refused else read_kept(watch.folder), refused)


MEANS: Mapping[str, str] = {
    "seconds": "watch",
    "memory_mb": "watch, rlimit",
    "processes": "watch, rlimit",
    "open_files": "rlimit",
    "disk_mb": "watch, rlimit",
}
BY_GROUP: Mapping[str, str] = {"memory_mb": "cgroup, watch, rlimit", "processes": "cgroup, watch, rlimit"}
"""By which means each limit is kept: the harness looks, or the system refuses; BY_GROUP where a run has a control group."""


def _traceback(watch: Watch, said: Mapping[str, Any]) -> str | None:
    printed = bytes(watch.tail).decode("utf-8", "replace").strip()
    parts = [text_of(said, "traceback"), f"printed at last:\n{printed}" if printed else None]
    return "\n".join(part for part in parts if part) or None


def _modules(said: Mapping[str, Any]) -> list[str]:
    """What the server may load for later runs: packages it is known to take, and modules of the harness."""
    given = said.get("modules")
    names = [name for name in given if isinstance(name, str)] if isinstance(given, list) else []
    return [name for name in names if name in PACKAGES or (name.startswith(OURS) and name.isascii())]
