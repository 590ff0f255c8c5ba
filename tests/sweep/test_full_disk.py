"""A full disk in the middle of a sweep: it says so once, waits with growing pauses, and loses nothing."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from relbench_harness.board import store
from relbench_harness.board.store import read_results
from relbench_harness.cli import main
from relbench_harness.protocol.result import Outcome
from relbench_harness.sweep import room
from relbench_harness.sweep.claims import Claims
from relbench_harness.sweep.room import LONGEST_PAUSE, when_there_is_room


def full(path: Path, number: int = errno.ENOSPC) -> OSError:
    return OSError(number, os.strerror(number), str(path))


def test_pauses_grow_and_it_is_said_once(tmp_path: Path) -> None:
    said: list[str] = []
    pauses: list[float] = []
    refusals = iter([full(tmp_path)] * 8)

    def act() -> str:
        for refusal in refusals:
            raise refusal
        return "done"

    assert when_there_is_room(act, said.append, pauses.append) == "done"
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, LONGEST_PAUSE, LONGEST_PAUSE]
    assert len(said) == 2 and "No space left on device" in said[0] and str(tmp_path) in said[0]
    assert said[1] == "there is room again; the sweep goes on"


def test_another_fault_is_not_waited_for(tmp_path: Path) -> None:
    def act() -> None:
        raise full(tmp_path, errno.EACCES)

    with pytest.raises(PermissionError):
        when_there_is_room(act, print, lambda _: pytest.fail("waits"))


Place = Callable[[Outcome, Path], Outcome]


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the disk refuses next: each entry of the list is one refusal of a result, a mark or a plan."""
    waiting: list[str] = []
    place, attempt, write = store.place, Claims.attempt, store.write_whole

    def refused(what: str, folder: Path) -> None:
        if waiting and waiting[0] == what:
            waiting.pop(0)
            raise full(folder)

    def placed(outcome: Outcome, folder: Path) -> Outcome:
        refused("result", folder)
        return place(outcome, folder)

    def attempted(self: Claims, *given: object) -> object:
        refused("mark", self.folder)
        return attempt(self, *given)  # type: ignore[arg-type]

    def written(path: Path, *given: object, **named: object) -> None:
        refused("plan", path)
        write(path, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "place", placed)
    monkeypatch.setattr(Claims, "attempt", attempted)
    monkeypatch.setattr("relbench_harness.sweep.plan.write_whole", written)
    monkeypatch.setattr(room, "FIRST_PAUSE", 0.01)
    return waiting


def test_a_sweep_goes_on_when_there_is_room(
    tmp_path: Path, shop: Path, refusals: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    refusals += ["plan", "plan", "mark", "result", "result", "result"]
    assert main(["run", "-m", "task=shop/churn", "method=constant", "seed=0,1,2", f"results_dir={tmp_path}"]) == 0
    assert [one.seed for one in read_results(tmp_path)] == [0, 1, 2] and not refusals
    said = capsys.readouterr().err.splitlines()
    assert [("goes on when there is room" in one, "there is room again" in one) for one in said] == [
        (True, False), (False, True)
    ] * 3  # fmt: skip


def test_one_run_does_not_wait(
    tmp_path: Path, shop: Path, refusals: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    refusals += ["mark", "result"]
    assert main(["run", "task=shop/churn", "method=constant", f"results_dir={tmp_path / 'results'}"]) == 2
    assert "it lies in" in capsys.readouterr().err
    assert len(read_results(elsewhere)) == 1


def test_ctrl_c_ends_the_wait(
    tmp_path: Path, shop: Path, refusals: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(room, "FIRST_PAUSE", 30.0)
    monkeypatch.setattr(room.when_there_is_room, "__defaults__", (interrupted,))
    refusals += ["result"]
    assert main(["run", "-m", "task=shop/churn", "method=constant", "seed=0,1", f"results_dir={tmp_path}"]) == 130
    assert "0 finished runs are kept" in capsys.readouterr().err
    assert not list((tmp_path / ".started").iterdir())
