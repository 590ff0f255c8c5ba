"""A control group is made where the system lets it, set up whole, and removed; elsewhere there is none and nothing is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from relbench_harness.protocol.control_group import control_group
from relbench_harness.protocol.limits import Limits

LIMITS = Limits(memory_mb=100, processes=5)


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A system whose groups are mounted, with this process in one of them."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/user.slice/app.scope").mkdir(parents=True)
    mount = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n"
    (tmp_path / "proc/self/mountinfo").write_text("24 1 8:1 / / rw - ext4 /dev/x rw\n" + mount)
    (tmp_path / "proc/self/cgroup").write_text("0::/user.slice/app.scope\n")
    return tmp_path


def made_by_the_system(monkeypatch: pytest.MonkeyPatch, delegated: str) -> None:
    """New groups below the folder called `delegated` get the files that the system gives them."""
    plain, remove = Path.mkdir, Path.rmdir

    def mkdir(self: Path, *given: Any, **more: Any) -> None:
        plain(self, *given, **more)
        if self.parent.name == delegated:
            for name in ("memory.max", "pids.max", "memory.swap.max", "memory.events", "cgroup.procs"):
                (self / name).write_text("max")

    def rmdir(self: Path) -> None:
        for file in self.iterdir():
            file.unlink()
        remove(self)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    monkeypatch.setattr(Path, "rmdir", rmdir)


@pytest.mark.parametrize("delegated", ["app.scope", "user.slice"])
def test_a_group_has_the_limits_and_goes(system: Path, monkeypatch: pytest.MonkeyPatch, delegated: str) -> None:
    made_by_the_system(monkeypatch, delegated)
    with control_group(LIMITS, system) as group:
        assert group is not None and group.folder.parent.name == delegated
        assert (group.folder / "memory.max").read_text() == str(100 * 2**20)
        assert int((group.folder / "pids.max").read_text()) >= 5
        assert group.entrance.is_file() and not group.ended_for_memory
        (group.folder / "memory.events").write_text("low 0\noom 1\noom_kill 2\n")
        assert group.ended_for_memory
    assert not list(system.rglob("relbench-harness-*"))


def test_where_no_controller_is_delegated_there_is_none(system: Path) -> None:
    with control_group(LIMITS, system) as group:
        assert group is None
    assert not list(system.rglob("relbench-harness-*"))


def test_where_groups_are_not_mounted_there_is_none(tmp_path: Path) -> None:
    with control_group(LIMITS, tmp_path) as group:
        assert group is None
