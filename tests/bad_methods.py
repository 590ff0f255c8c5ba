"""Methods that misbehave, one way each: what a sandbox has to end, and leave nothing of."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relbench_harness.errors import ResultWarning
from relbench_harness.progress import work
from relbench_harness.protocol.method import Budget, Examples
from relbench_harness.protocol.namespaces import SealError

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]


@dataclass(frozen=True)
class Fine:
    """Answers with one half."""

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Fine:
        return self

    def predict(self, examples: Examples) -> NDArray[Any]:
        return np.full(len(examples), 0.5)


@dataclass(frozen=True)
class Unpicklable(Fine):
    lock: Any = field(default_factory=threading.Lock)


class AllocatesWithoutEnd(Fine):
    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Fine:
        held = []
        while True:
            held.append(np.ones(2**20))
            time.sleep(0.001)


class ReservesWithoutEnd(Fine):
    """Takes memory that it never touches."""

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Fine:
        held = []
        while True:
            held.append(np.zeros(2**30))


class NeverReturns(Fine):
    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Fine:
        while True:
            time.sleep(1)


class CatchesEverything(Fine):
    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Fine:
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_IGN)
        while True:
            with contextlib.suppress(BaseException):
                time.sleep(1)


class Segfaults(Fine):
    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Fine:
        ctypes.string_at(0)
        return self


class KillsItself(Fine):
    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Fine:
        os.kill(os.getpid(), signal.SIGKILL)
        return self


class KillsItsServer(Fine):
    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Fine:
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)
        return self


class LeavesChildren(Fine):
    """Leaves children of every kind, one of them in a session of its own, twice removed and without our environment."""

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Fine:
        subprocess.Popen(SLEEPER)
        subprocess.Popen(SLEEPER, start_new_session=True)
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                os.execve(SLEEPER[0], SLEEPER, {})
            os._exit(0)
        if os.fork() == 0:
            time.sleep(600)
        return self


class Forks(Fine):
    """Starts processes without end."""

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Fine:
        while True:
            if os.fork() == 0:
                time.sleep(600)
            time.sleep(0.002)


class PrintsWithoutEnd(Fine):
    def predict(self, examples: Examples) -> NDArray[Any]:
        line = "x" * 999_999
        for _ in range(100):
            print(line)
            print(line, file=sys.stderr)
        print("the last line")
        return super().predict(examples)


class PrintsAndFails(PrintsWithoutEnd):
    def predict(self, examples: Examples) -> NDArray[Any]:
        super().predict(examples)
        raise RuntimeError("after all\nthat")


class AnswersNaN(Fine):
    def predict(self, examples: Examples) -> NDArray[Any]:
        return np.full(len(examples), np.nan)


class AnswersTheWrongShape(Fine):
    def predict(self, examples: Examples) -> NDArray[Any]:
        return np.zeros((len(examples), 7))


class AnswersObjects(Fine):
    def predict(self, examples: Examples) -> NDArray[Any]:
        return np.asarray([{"a": 1}] * len(examples), dtype=object)


class AnswersNothing(Fine):
    def predict(self, examples: Examples) -> NDArray[Any]:
        return None  # type: ignore[return-value]


class DeletesItsFolder(Fine):
    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Fine:
        shutil.rmtree(Path.cwd().parent, ignore_errors=True)
        return self


class StartsThreads(Fine):
    def predict(self, examples: Examples) -> NDArray[Any]:
        for _ in range(5):
            threading.Thread(target=NeverReturns().fit, args=(examples, examples, Budget())).start()
        return super().predict(examples)


class Exits(Fine):
    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Fine:
        os._exit(0)


class ExitsWithACode(Fine):
    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Fine:
        os._exit(3)


@dataclass(frozen=True)
class Raises(Fine):
    name: str = "KeyboardInterrupt"

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Fine:
        kinds: dict[str, BaseException] = {
            "KeyboardInterrupt": KeyboardInterrupt(),
            "SystemExit": SystemExit("no more"),
            "MemoryError": MemoryError("the matrix of 3 TB"),
            "TimeoutError": TimeoutError("no time left"),
            "ZeroDivisionError": ZeroDivisionError("one by zero"),
        }
        raise kinds[self.name]


class WritesWithoutEnd(Fine):
    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Fine:
        number = 0
        while True:
            Path(f"{number}.bin").write_bytes(b"x" * 2**20)
            number += 1


class OpensWithoutEnd(Fine):
    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Fine:
        held = []
        while True:
            held.append(open(__file__, "rb"))  # noqa: SIM115


class SpeaksForTheHarness(Fine):
    """Writes lines of its own on every socket that it has: an answer to test, a report, and a line without end."""

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Fine:
        for handle in range(3, 50):
            with contextlib.suppress(OSError):
                other = socket.socket(fileno=os.dup(handle))
                other.sendall(b'[]\n{"report": 3}\n{"work": "ended", "key": []}\n\xff\n{"answered": "test"}\n')
        time.sleep(600)
        return self


class Speaks(Fine):
    """Says something in every way that reaches the user."""

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Fine:
        logging.getLogger("relbench_harness.bad").info("a line of the log")
        logging.getLogger("relbench_harness.bad").debug("a line that nobody wants")
        warnings.warn("a result to look at", ResultWarning, stacklevel=1)
        with work("epochs", 3) as one:
            for _ in range(3):
                one.advance("loss 0.5")
                time.sleep(0.25)
        with work("epoch", 2) as one:
            one.advance("validation 0.5000")
            time.sleep(0.25)
            one.advance("validation 0.7500")
        return self


class WritesPickles(Fine):
    """Puts a pickle where its answer is expected."""

    def predict(self, examples: Examples) -> NDArray[Any]:

        def write(file: Any, *_: Any, **__: Any) -> None:
            file.write(b"\x80\x04cos\nabort\n)R.")

        np.save = write
        return super().predict(examples)


class Keeps(Fine):
    """Copies every file that it has been handed, and the memory of its process, to its own folder `kept`."""

    def predict(self, examples: Examples) -> NDArray[Any]:
        target = Path("kept")
        target.mkdir(exist_ok=True)
        begun = len(list(target.iterdir()))
        found = [
            file for part in ("given", "answers") for file in Path.cwd().parent.joinpath(part).rglob("*") if file.is_file()
        ]
        for number, file in enumerate(found, begun):
            shutil.copyfile(file, target / f"{number}-{file.name}")
        with (target / f"{begun}-memory").open("wb") as kept, open("/proc/self/mem", "rb") as memory:
            for line in Path("/proc/self/maps").read_text().splitlines():
                span, rights = line.split()[:2]
                first, last = (int(part, 16) for part in span.split("-"))
                if rights.startswith("rw") and "[v" not in line:
                    with contextlib.suppress(OSError, OverflowError):
                        memory.seek(first)
                        kept.write(memory.read(last - first))
        return super().predict(examples)


@dataclass(frozen=True)
class Finds(Fine):
    """Answers 1 where a way out of its process is open: `way` names a method of this class."""

    way: str = ""
    what: str = ""

    def predict(self, examples: Examples) -> NDArray[Any]:
        return np.full(len(examples), float(getattr(self, self.way)()))

    def read(self) -> bool:
        found = Path(self.what)
        try:
            return bool(list(found.iterdir())) if found.is_dir() else bool(found.read_bytes())
        except OSError:
            return False

    def write(self) -> bool:
        try:
            Path(self.what).write_text("x")
        except OSError:
            return False
        return True

    def connect(self) -> bool:
        host, _, port = self.what.partition(":")
        try:
            socket.create_connection((host, int(port)), 2).close()
        except OSError:
            return False
        return True

    def see_process(self) -> bool:
        """The harness itself, by its command line."""
        return any(self.what in read_text(path) for path in Path("/proc").glob("[0-9]*/cmdline"))

    def see_environment(self) -> bool:
        mine = " ".join([*os.environ.values(), read_text(Path("/proc/self/environ"))])
        return self.what in mine or any(self.what in read_text(path) for path in Path("/proc").glob("[0-9]*/environ"))

    def mount(self) -> bool:
        """Takes away what covers a folder, or makes it writable again, in this process and in namespaces of its own."""
        libc = ctypes.CDLL(None)
        for kinds in (0, 0x10000000 | 0x00020000):
            if kinds and libc.unshare(kinds) != 0:
                continue
            place = self.what.encode()
            if libc.umount2(place, 2) == 0 or libc.mount(None, place, None, ctypes.c_ulong(0x1020), None) == 0:
                return True
        return False


class NotAllowed:
    """A seal on a system that lets no user make namespaces."""

    def enter(self, _: object) -> None:
        raise SealError("namespaces for users: Operation not permitted")


def read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""
