"""A control group (cgroup v2) of a run's own, where this user may make one: the system itself keeps memory and processes.

Where it may not be made, nothing is lost but exactness: the harness watches both all the same. Invariant: a group is used only
if the limit on memory could be set, and is removed with the run.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from relbench_harness.protocol.limits import Limits

PROCESSES = "cgroup.procs"


@dataclass(frozen=True)
class ControlGroup:
    """A group that is set up; a process enters it by writing 0 to `entrance`."""

    folder: Path

    @property
    def entrance(self) -> Path:
        return self.folder / PROCESSES

    @property
    def ended_for_memory(self) -> bool:
        """Whether the system has killed a process of the group because memory was at its limit."""
        with suppress(OSError, ValueError):
            lines = (self.folder / "memory.events").read_text(encoding="ascii").splitlines()
            return any(int(line.split()[1]) > 0 for line in lines if line.startswith("oom_kill "))
        return False


@contextmanager
def control_group(limits: Limits, system: Path = Path("/")) -> Iterator[ControlGroup | None]:
    """A group with the limits on memory and processes; None where this user may not make one.

    Args:
        system: Where `proc` and the mounted groups are looked for.
    """
    group = next((made for place in _places(system) if (made := _made(place, limits)) is not None), None)
    try:
        yield group
    finally:
        if group is not None:
            _remove(group.folder)


def _places(system: Path) -> list[Path]:
    """Where a group may be made: beside this process's own, as systemd delegates it, or below it."""
    with suppress(OSError, IndexError):
        mounts = (system / "proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
        mounted = next((line.split()[4] for line in mounts if " - cgroup2 " in line), None)
        groups = (system / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
        own = next((line[3:] for line in groups if line.startswith("0::")), None)
        if mounted is not None and own is not None:
            folder = system / mounted.lstrip("/") / own.lstrip("/")
            return [folder, *([folder.parent] if own.strip("/") else [])]
    return []


def _made(place: Path, limits: Limits) -> ControlGroup | None:
    folder = place / f"relbench-harness-{secrets.token_hex(6)}"
    try:
        folder.mkdir()
    except OSError:
        return None
    try:
        for name, value in (
            ("memory.max", None if limits.memory_mb is None else limits.memory_mb * 2**20),
            # threads count as well
            ("pids.max", limits.processes * 8),
        ):
            # a file that is not there already would be made where this is no group
            if value is not None and (folder / name).is_file():
                (folder / name).write_text(str(value), encoding="ascii")
            elif name == "memory.max":
                raise FileNotFoundError(name)
        with suppress(OSError):
            # what does not fit in memory is not to slow the machine down
            (folder / "memory.swap.max").write_text("0", encoding="ascii")
    except OSError:
        _remove(folder)
        return None
    return ControlGroup(folder)


def _remove(folder: Path) -> None:
    """Removes a group; the system lets it go once its last process has."""
    for _ in range(50):
        with suppress(OSError):
            folder.rmdir()
        if not folder.exists():
            return
        time.sleep(0.02)
