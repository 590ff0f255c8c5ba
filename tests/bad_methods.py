"""Methods that misbehave, one way each: what a sandbox has to end, and leave nothing of."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relbench_harness.protocol.method import Budget, Examples

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


class WritesPickles(Fine):
    """Puts a pickle where its answer is expected."""

    def predict(self, examples: Examples) -> NDArray[Any]:
        import numpy.lib.format

        def write(file: Any, *_: Any, **__: Any) -> None:
            file.write(b"\x80\x04cos\nabort\n)R.")

        np.save = write
        return super().predict(examples)


@dataclass(frozen=True)
class Reads(Fine):
    """Answers with what it can read at `path`: 1 where it can."""

    path: str = "/"
    host: str = ""

    def predict(self, examples: Examples) -> NDArray[Any]:
        return np.full(len(examples), float(self.can()))

    def can(self) -> bool:
        if self.host:
            name, _, port = self.host.partition(":")
            try:
                socket.create_connection((name, int(port)), 2).close()
            except OSError:
                return False
            return True
        found = Path(self.path)
        try:
            return bool(list(found.iterdir())) if found.is_dir() else bool(found.read_bytes())
        except OSError:
            return False


@dataclass(frozen=True)
class Writes(Fine):
    """Fails unless it can write at `path`."""

    path: str = "/"

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Fine:
        Path(self.path).write_text("x")
        return self


@dataclass(frozen=True)
class Keeps(Fine):
    """Copies every file that it has been handed, and the memory of its process, to `path`."""

    path: str = ""

    def predict(self, examples: Examples) -> NDArray[Any]:
        target = Path(self.path)
        for file in Path.cwd().parent.rglob("*"):
            if file.is_file():
                shutil.copyfile(file, target / f"{len(list(target.iterdir()))}-{file.name}")
        with (target / f"{len(list(target.iterdir()))}-memory").open("wb") as kept, open("/proc/self/mem", "rb") as memory:
            for line in Path("/proc/self/maps").read_text().splitlines():
                span, rights = line.split()[:2]
                first, last = (int(part, 16) for part in span.split("-"))
                if rights.startswith("rw") and "[v" not in line:
                    with contextlib.suppress(OSError, OverflowError):
                        memory.seek(first)
                        kept.write(memory.read(last - first))
        return super().predict(examples)
