"""Processes that descend from one: tied to it, found, measured and killed.

Invariant: a process that left its parent's session and lost its parent is found all the same: the fork server adopts it, and it
carries the server's mark in its environment.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

MARK = "RELBENCH_HARNESS_SERVER"
"""The variable of the environment that every process of a fork server carries."""


SUBREAPER = 36
PARENT_DEATH = 1
"""Options of `prctl`."""


def prctl(option: int, value: int) -> None:
    """Sets an attribute of this process. Raises `OSError` where the system does not let it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def die_with_parent(parent: int) -> None:
    """Lets the system kill this process when `parent`, which started it, has ended."""
    prctl(PARENT_DEATH, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


@dataclass(frozen=True)
class Use:
    """What a tree uses at one instant; `held_mb` is memory that the system cannot take back, an upper bound of it."""

    processes: int
    resident_mb: float
    held_mb: float


def descendants(root: int) -> list[int]:
    """Every process below `root`, a parent before its children."""
    found: list[int] = []
    todo = [root]
    try:
        while todo:
            todo = [child for pid in todo for child in _children(pid)]
            found += todo
    except FileNotFoundError:
        # a system that keeps no list of children
        with suppress(psutil.Error):
            return [process.pid for process in psutil.Process(root).children(recursive=True)]
        return []
    return found


def _children(pid: int) -> list[int]:
    """Raises `FileNotFoundError` where the process is there and the list is not."""
    found: list[int] = []
    with suppress(ProcessLookupError, PermissionError):
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except FileNotFoundError:
            return []
        for thread in threads:
            try:
                with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                    found += map(int, file.read().split())
            except FileNotFoundError:
                if os.path.exists(f"/proc/{pid}/task/{thread}/stat"):
                    raise
    return found


def use_of(processes: Iterable[int]) -> Use:
    """What the processes use. Pages that two of them share count twice."""
    count, resident, held = 0, 0, 0
    for pid in processes:
        with suppress(OSError, ValueError, KeyError):
            fields = _status(pid)
            resident += fields["VmRSS"]
            held += fields["RssAnon"] + fields["RssShmem"]
            count += 1
    return Use(count, resident / 1024, held / 1024)


def proportional_mb(processes: Iterable[int]) -> float:
    """Memory of the processes that the system cannot take back, each shared page divided among those that share it."""
    total = 0
    for pid in processes:
        with suppress(OSError, ValueError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines():
                name, _, value = line.partition(":")
                if name in ("Pss_Anon", "Pss_Shmem"):
                    total += int(value.split()[0])
    return total / 1024


def _status(pid: int) -> dict[str, int]:
    """The sizes in a process's status, in kB."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if value.endswith(" kB"):
            found[name] = int(value.split()[0])
    return found


def marked(value: str) -> Iterator[int]:
    """The processes of this user whose environment names the fork server `value`."""
    sign = f"{MARK}={value}".encode()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(OSError):
                if sign in Path(entry.path, "environ").read_bytes().split(b"\0"):
                    yield int(entry.name)


def kill(pids: Iterable[int]) -> None:
    """Sends SIGKILL; a process that is gone is none to kill."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, 9)


def disk_bytes(folder: Path) -> int:
    """What the files below `folder` take on disk."""
    total, todo = 0, [folder]
    while todo:
        with suppress(OSError), os.scandir(todo.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(Path(entry.path))
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total
