"""A run in a process of its own as the harness sees it: what it says, what it uses, and why it ended.

Invariant: the process is not trusted. What it says is limited in length and checked, its answers are read as plain numbers from
a regular file, and what it prints is kept up to a size.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import stat
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relbench_harness.errors import InputError, ResultWarning
from relbench_harness.progress import Work, work
from relbench_harness.protocol.child import ANSWERS, KEPT, OWN
from relbench_harness.protocol.control_group import ControlGroup
from relbench_harness.protocol.limits import Limits
from relbench_harness.protocol.messages import Lines, TooLongError, number, text_of
from relbench_harness.protocol.namespaces import LAYERS
from relbench_harness.protocol.process_tree import descendants, disk_bytes, proportional_mb, use_of
from relbench_harness.protocol.servers import Server, ServerGoneError
from relbench_harness.protocol.work import Answered, HandIn, InvalidPredictionsError, kind_of, said_of

EVERY = 0.05
"""Seconds between two looks at what the process tree uses."""
TAIL = 1 << 16
"""Bytes that are kept of what a method prints."""
BLOCK = 1 << 18
MOST_LINES = 20_000
"""Lines of the log that are passed on."""
LARGEST_ANSWER = 1 << 34
"""Bytes of the largest file of predictions that is read."""
FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGSYS}
"""Signals by which the system says that a program is at fault."""


@dataclass(frozen=True)
class Verdict:
    """Why a run was ended, or what its end means."""

    status: str
    error: str


@dataclass
class Watch:
    """One run.

    Attributes:
        late: Writes what the method may see once validation is answered.
        is_sealed: Whether the process is to be cut off before the method is in it.
        runs: Whether the method is in it.
        report: What the process said at its end.
        verdict: Why the harness ended it, if it did.
        ended: The wait status and the processor seconds of the tree.
        busy: Seconds that the harness scored and handed over meanwhile.
    """

    server: Server
    folder: Path
    limits: Limits
    hand_in: HandIn
    late: Callable[[], None]
    is_sealed: bool = False
    group: ControlGroup | None = None
    begin: float = field(default_factory=time.monotonic)
    runs: bool = False
    report: dict[str, Any] | None = None
    verdict: Verdict | None = None
    ended: tuple[int, float] | None = None
    answered: list[Answered] = field(default_factory=list)
    peak_mb: float = 0.0
    held_mb: float = 0.0
    tail: bytearray = field(default_factory=bytearray)
    busy: float = 0.0
    _lines: Lines = field(default_factory=Lines)
    _shown: int = 0
    _disk_next: float = 0.0
    _works: dict[int, tuple[AbstractContextManager[Work], Work]] = field(default_factory=dict)

    def follow(self, control: socket.socket, output: int) -> None:
        """Listens and measures until the run has ended or must be ended. Raises what stops the harness itself."""
        control.setblocking(False)
        os.set_blocking(output, False)
        look = 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(control, selectors.EVENT_READ, lambda: self._listen(control))
            selector.register(output, selectors.EVENT_READ, lambda: self.drain(output, 64))
            selector.register(self.server.socket, selectors.EVENT_READ, self._end)
            while self.report is None and self.verdict is None and self.ended is None:
                for key, _ in selector.select(EVERY):
                    if key.data() is False:
                        selector.unregister(key.fileobj)
                if (now := time.monotonic()) >= look:
                    self._measure()
                    # on a machine where looking takes long, less often
                    look = now + max(EVERY, 10 * (time.monotonic() - now))
            if self.report is None and self.ended is not None:
                # what it said shortly before
                self._listen(control)
        self.drain(output, 1 << 14)

    def close(self) -> None:
        """Progress that is still shown ends with the run."""
        for shown, _ in reversed(self._works.values()):
            shown.__exit__(None, None, None)
        self._works.clear()

    # -- what it says -----------------------------------------------------------------------------------------------------

    def _listen(self, control: socket.socket) -> bool:
        """Reads what is there; whether more may come."""
        try:
            data = control.recv(BLOCK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        try:
            for message in self._lines.feed(data):
                self._act(message, control)
        except TooLongError:
            self.verdict = Verdict("error", "the method's process sent a message without end")
        return bool(data)

    def _act(self, message: dict[str, Any], control: socket.socket) -> None:
        if self.report is not None or self.verdict is not None:
            return
        if self.is_sealed and not self.runs:
            self.runs = message.get("sealed") is True
            if (missing := text_of(message, "refused", 400)) is not None:
                raise InputError(
                    f"isolation=sealed needs what this system does not allow: {missing}; isolation=process does without it"
                )
        if isinstance(message.get("report"), dict):
            self.report = message["report"]
        elif message.get("answered") in ("val", "test"):
            self._take(message["answered"], control)
        elif "work" in message:
            self._progress(message)
        elif self._shown < MOST_LINES:
            self._shown += 1
            text = text_of(message, "log")
            if text is not None and number(message.get("level")):
                _log(str(message.get("logger"))[:100], int(message["level"]), text)
            if (doubt := text_of(message, "warning")) is not None:
                warnings.warn(doubt, ResultWarning, stacklevel=2)

    def _take(self, split: Answered, control: socket.socket) -> None:
        """Takes the answer to a split and, with validation, hands the rest over."""
        if split in self.answered or (split == "test" and "val" not in self.answered):
            self.verdict = Verdict("error", f"the method's process answered {split} out of turn")
            return
        begin = time.monotonic()
        try:
            self.hand_in(split, read_answer(self.folder, split))
        except Exception as failure:
            # as without isolation: an answer that cannot be scored, whatever the reason, is a failure of the run
            self.verdict = Verdict(kind_of(failure), said_of(failure))
            return
        self.answered.append(split)
        if split == "val":
            self.late()
        self.busy += time.monotonic() - begin
        with suppress(OSError):
            control.send(b"+")

    def _progress(self, message: Mapping[str, Any]) -> None:
        key, label, total, done = (message.get(name) for name in ("key", "label", "total", "done"))
        if not isinstance(key, int):
            return
        if message["work"] == "started" and len(self._works) < 100 and isinstance(label, str):
            shown = work(label[:200], float(total) if number(total) else None)  # type: ignore[arg-type]
            self._works[key] = (shown, shown.__enter__())
        elif message["work"] == "ended" and key in self._works:
            self._works.pop(key)[0].__exit__(None, None, None)
        elif key in self._works and number(done):
            one = self._works[key][1]
            one.total = float(total) if number(total) else None  # type: ignore[arg-type]
            one.at(float(done), text_of(message, "note", 200) or "")  # type: ignore[arg-type]

    def drain(self, output: int, blocks: int) -> bool:
        """Reads what it printed and keeps the end; whether more may come."""
        for _ in range(blocks):
            try:
                data = os.read(output, BLOCK)
            except BlockingIOError:
                return True
            if not data:
                return False
            self.tail = (self.tail + data)[-TAIL:]
        return True

    def _end(self) -> bool:
        try:
            message = self.server.hear(0.0)
        except ServerGoneError:
            self.verdict = Verdict("killed", "the process that starts runs was killed from elsewhere")
            return False
        if message is not None and "ended" in message:
            self.ended = (int(message["ended"]), float(message["cpu"]))
        return True

    # -- what it uses -----------------------------------------------------------------------------------------------------

    def _measure(self) -> None:
        tree = self._tree()
        use, limits, spent = use_of(tree), self.limits, time.monotonic() - self.begin
        self.peak_mb, self.held_mb = max(self.peak_mb, use.resident_mb), use.held_mb
        if limits.seconds is not None and spent > limits.seconds:
            said = f"the run took longer than the {limits.seconds:g} seconds that limits.seconds allows"
            self.verdict = Verdict("timeout", said)
        elif limits.memory_mb is not None and use.held_mb > limits.memory_mb and proportional_mb(tree) > limits.memory_mb:
            said = f"the run's processes took more than the {limits.memory_mb} MB that limits.memory_mb allows"
            self.verdict = Verdict("out_of_memory", said)
        elif use.processes > limits.processes:
            said = f"the run had more than the {limits.processes} processes that limits.processes allows"
            self.verdict = Verdict("killed", said)
        elif time.monotonic() >= self._disk_next:
            begin = time.monotonic()
            self.verdict = self.verdict or self.disk()
            self._disk_next = time.monotonic() + max(EVERY, 10 * (time.monotonic() - begin))

    def _tree(self) -> list[int]:
        """The method's processes. Two of the harness's own stand between the server and those of a sealed run."""
        root = self.server.process.pid
        for _ in range(2 if self.is_sealed else 0):
            below = descendants(root)
            if not below:
                return []
            root = below[0]
        return descendants(root)

    def disk(self) -> Verdict | None:
        """Whether more is written than may be."""
        used = sum(disk_bytes(self.folder / part) for part in (OWN, ANSWERS, LAYERS))
        if used <= self.limits.disk_mb * 2**20:
            return None
        return Verdict("killed", f"the run wrote more than the {self.limits.disk_mb} MB that limits.disk_mb allows")

    # -- why it ended -----------------------------------------------------------------------------------------------------

    def judged(self) -> Verdict:
        """The status and the sentence of the run, `ok` and nothing where it did all that it had to."""
        if self.verdict is not None:
            return self.verdict
        if self.report is not None:
            return self.disk_of_failure() or self._of_report(self.report)
        assert self.ended is not None
        return self.disk_of_failure() or self._of_exit(self.ended[0])

    def disk_of_failure(self) -> Verdict | None:
        """A method that fails because it may write no more has written too much."""
        failed = self.report is None or self.report.get("status") != "ok"
        return self.disk() if failed else None

    def _of_report(self, report: Mapping[str, Any]) -> Verdict:
        from relbench_harness.protocol.result import FAILURES

        status = report.get("status")
        if status in FAILURES:
            return Verdict(str(status), " ".join((text_of(report, "error", 4000) or "no reason given").split()))
        if self.answered != ["val", "test"]:
            return Verdict("invalid_predictions", "the method's process ended without an answer to every split")
        return Verdict("ok", "")

    def _of_exit(self, status: int) -> Verdict:
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            name = signal.Signals(number).name if number in set(signal.Signals) else str(number)
            if self.group is not None and self.group.ended_for_memory:
                return Verdict(
                    "out_of_memory", f"the run reached the {self.limits.memory_mb} MB that limits.memory_mb allows"
                )
            if number == signal.SIGKILL and self.limits.memory_mb and self.held_mb > 0.8 * self.limits.memory_mb:
                return Verdict("out_of_memory", f"the system killed the process at {self.held_mb:.0f} MB")
            if number in FAULTS:
                return Verdict("error", f"the process ended by {name}, a fault in compiled code")
            return Verdict("killed", f"the process ended by {name}")
        if os.WEXITSTATUS(status) == 0:
            return Verdict("invalid_predictions", "the process ended without an answer to every split")
        return Verdict("error", f"the process ended with exit code {os.WEXITSTATUS(status)} before it answered")


def read_answer(folder: Path, split: Answered) -> NDArray[np.generic]:
    """The predictions of a split in the file below a run's folder that the method's process wrote: numbers, and nothing that is executed when it is read.

    Raises:
        InvalidPredictionsError: There is no such file, or it is not one of predictions.
    """
    try:
        with _below(folder, (ANSWERS,)) as place:
            handle = os.open(f"{split}.npy", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
    except OSError as error:
        raise InvalidPredictionsError(f"the answer cannot be read: {error.strerror}") from None
    with open(handle, "rb") as file:
        if not _is_plain(handle):
            raise InvalidPredictionsError("the answer cannot be read: it is no file, or too large")
        try:
            return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
        except (ValueError, EOFError, OSError, MemoryError) as error:
            raise InvalidPredictionsError(f"the answer cannot be read: {' '.join(str(error).split())[:200]}") from None


def read_kept(folder: Path) -> dict[str, bytes]:
    """The files of the fitted method below a run's folder, name → content; nothing of them is looked at.

    Raises:
        InputError: The process left something else than files there.
    """
    found = {}
    try:
        with _below(folder, (ANSWERS, KEPT)) as place:
            for name in sorted(os.listdir(place)):
                handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
                with open(handle, "rb") as file:
                    if not _is_plain(handle):
                        raise InputError(f"the fitted method cannot be kept: {name!r} is no file, or too large")
                    found[name] = file.read()
    except OSError as error:
        raise InputError(f"the fitted method cannot be kept: its files cannot be read ({error.strerror})") from None
    return found


@contextmanager
def _below(folder: Path, parts: Sequence[str]) -> Iterator[int]:
    """A folder below a run's folder, opened. The process may have put a link anywhere there, and none is followed."""
    with ExitStack() as opened:
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        opened.callback(os.close, place)
        for part in parts:
            place = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=place)
            opened.callback(os.close, place)
        yield place


def _is_plain(handle: int) -> bool:
    """Whether an opened file is a regular one that is not too large to be read."""
    found = os.fstat(handle)
    return stat.S_ISREG(found.st_mode) and found.st_size <= LARGEST_ANSWER


def _log(name: str, level: int, text: str) -> None:
    ours = name if name.startswith("relbench_harness") else "relbench_harness.method"
    logging.getLogger(ours).log(level, "%s", text)
