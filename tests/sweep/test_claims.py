"""Marks of runs that began: one holder for each, dead ones are taken over once, and clocks of hosts are never compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from relbench_harness.sweep import claims as module
from relbench_harness.sweep.claims import PATIENCE, Claim, Claims, Owner, this_process

RUN = "f" * 32


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def marked(folder: Path, owner: Owner, attempt: int = 1) -> Path:
    """A mark as `owner` leaves it."""
    path = folder / ".started" / f"{RUN}.{attempt}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"host": owner.host, "pid": owner.pid, "process_started": owner.born}))
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / ".started").iterdir())


def gone() -> Owner:
    """A process of this host that has ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        born = module._born(process.pid)
        process.communicate(b"\n")
    return Owner(this_process().host, process.pid, str(born))


def test_one_of_two_claimants_has_the_run(tmp_path: Path) -> None:
    first, second = Claims(tmp_path), Claims(tmp_path)
    claim = first.attempt(RUN, {"task": "a/b"})
    assert claim is not None and second.attempt(RUN, {}) is None
    said = json.loads(claim.mark.path.read_text())
    assert said["task"] == "a/b" and said["pid"] == os.getpid() and said["process_started"] and said["host"]
    assert names(tmp_path) == [f"{RUN}.1.json"]
    claim.give_up()
    assert second.attempt(RUN, {}) is not None


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("dead", [True, False])
def test_of_many_claimants_one_has_the_run(
    tmp_path: Path, links: bool, dead: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unlinked(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    if not links:
        monkeypatch.setattr("os.link", unlinked)
    if dead:
        marked(tmp_path, gone(), 3)
    together = threading.Barrier(8)

    def attempt(_: int) -> Claim | None:
        together.wait()
        return Claims(tmp_path).attempt(RUN, {})

    with ThreadPoolExecutor(8) as pool:
        (claim,) = [one for one in pool.map(attempt, range(8)) if one is not None]
    assert claim.mark.attempt == (4 if dead else 1)
    claim.give_up()
    assert names(tmp_path) == []


def test_a_mark_of_a_process_that_is_gone_is_dead(tmp_path: Path) -> None:
    marked(tmp_path, gone())
    (mark,) = Claims(tmp_path).marks().values()
    assert not Claims(tmp_path).is_live(mark)


def test_a_process_with_the_number_of_another_is_another(tmp_path: Path) -> None:
    own = this_process()
    marked(tmp_path, Owner(own.host, own.pid, "1"))
    claims = Claims(tmp_path)
    assert not claims.is_live(claims.marks()[RUN])
    marked(tmp_path, own)
    assert claims.is_live(claims.marks()[RUN])


def test_a_process_that_nobody_waited_for_is_gone(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    marked(tmp_path, Owner(this_process().host, process.pid, str(module._born(process.pid))))
    claims = Claims(tmp_path)
    assert claims.is_live(claims.marks()[RUN])
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not claims.is_live(claims.marks()[RUN])
    process.communicate()


def test_a_mark_of_another_host_is_dead_after_a_minute_of_this_clock(tmp_path: Path) -> None:
    clock = Clock()
    path = marked(tmp_path, Owner("elsewhere", 1, "1"))
    # what the other host's clock says does not matter
    os.utime(path, (5.0, 5.0))
    claims = Claims(tmp_path, clock=clock)
    assert claims.attempt(RUN, {}) is None
    clock.now += PATIENCE - 1
    os.utime(path, (4.0, 4.0))
    assert claims.attempt(RUN, {}) is None
    clock.now += PATIENCE - 1
    assert claims.attempt(RUN, {}) is None
    clock.now += 2
    claim = claims.attempt(RUN, {})
    assert claim is not None and claim.mark.attempt == 2
    claim.give_up()
    assert names(tmp_path) == []


def test_a_mark_that_says_nothing_is_given_its_minute(tmp_path: Path) -> None:
    clock = Clock()
    marked(tmp_path, Owner("", 0, "")).write_text("")
    claims = Claims(tmp_path, clock=clock)
    assert claims.attempt(RUN, {}) is None
    clock.now += PATIENCE + 1
    assert claims.attempt(RUN, {}) is not None


def test_who_is_late_gives_way_to_a_higher_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    late = Claims(tmp_path)
    # the folder as it was before another took over from a process that died
    looks = iter([[], None])
    honest = Claims.marks_of
    monkeypatch.setattr(Claims, "marks_of", lambda self, run: honest(self, run) if (seen := next(looks)) is None else seen)
    marked(tmp_path, this_process(), 2)
    assert late.attempt(RUN, {}) is None
    assert names(tmp_path) == [f"{RUN}.2.json"]


def test_a_claim_is_renewed_and_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEARTBEAT", 0.01)
    claim = Claims(tmp_path).attempt(RUN, {})
    assert claim is not None
    os.utime(claim.mark.path, (5.0, 5.0))
    with pytest.raises(KeyboardInterrupt), claim.held():
        for _ in range(500):
            if claim.mark.path.stat().st_mtime != 5.0:
                break
            threading.Event().wait(0.01)
        assert claim.mark.path.stat().st_mtime != 5.0
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_other_files_are_no_marks(tmp_path: Path) -> None:
    assert Claims(tmp_path).marks() == {}
    (tmp_path / ".started").mkdir()
    for name in (".partial-1", "x.json", f"{RUN}.one.json", f"{RUN}.1.txt"):
        (tmp_path / ".started" / name).write_text("")
    assert Claims(tmp_path).marks() == {}
