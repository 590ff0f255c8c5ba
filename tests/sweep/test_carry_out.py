"""One process among others: it leaves what others have for the end, takes over what they dropped, and gives up what kills."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from sweep_results import entry, made, stored

from relbench_harness.board import store
from relbench_harness.board.store import home_of, read_results
from relbench_harness.data.writing import partials_of
from relbench_harness.errors import InputError
from relbench_harness.protocol.result import Outcome, Result
from relbench_harness.sweep import claims as module
from relbench_harness.sweep.carry_out import MOST_DEATHS, carry_out, work_on
from relbench_harness.sweep.claims import Claims, Owner, this_process
from relbench_harness.sweep.plan import Planned
from relbench_harness.sweep.scan import scan

RUNS = tuple(digit * 32 for digit in "123")


@dataclass(frozen=True)
class Stores:
    """A request that stores a result of its identity, or raises."""

    identity: str
    folder: Path
    fault: Exception | None = None

    def execute(self, keep: Callable[[Outcome, Path], Outcome]) -> Outcome:
        if self.fault is not None:
            raise self.fault
        return keep(Outcome(made(self.identity), None), self.folder)


@dataclass
class Recorder:
    """Remembers what it is told."""

    calls: list[tuple[str, str]] = field(default_factory=list)

    def ended(self, run: Planned, result: Result) -> None:
        self.calls.append(("ended", run.entry.identity))

    def fault(self, run: Planned, sentence: str) -> None:
        self.calls.append(("fault", sentence))

    def there(self, run: Planned) -> None:
        self.calls.append(("there", run.entry.identity))

    def waits(self, runs: int) -> None:
        self.calls.append(("waits", str(runs)))

    def said(self, sentence: str) -> None:
        self.calls.append(("said", sentence))


def planned(folder: Path) -> list[Planned]:
    return [Planned(entry(one), Stores(one, folder), folder) for one in RUNS]


def never(_: float) -> None:
    pytest.fail("waits")


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """Another process of this host."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def has(process: subprocess.Popen[bytes], identity: str, folder: Path) -> None:
    """The process has the run `identity`."""
    owner = Owner(this_process().host, process.pid, str(module._born(process.pid)))
    assert Claims(folder, owner).attempt(identity, {}) is not None


def test_runs_are_made_in_order_and_one_fault_costs_no_other(tmp_path: Path) -> None:
    runs = planned(tmp_path)
    runs[1] = replace(runs[1], request=Stores(RUNS[1], tmp_path, InputError("no such column")))
    told = Recorder()
    carry_out(work_on(runs, {tmp_path: scan(tmp_path)}), told, never)
    assert told.calls == [("ended", RUNS[0]), ("fault", "no such column"), ("ended", RUNS[2])]
    assert list((tmp_path / ".started").iterdir()) == []


def test_a_fault_of_the_program_is_not_hidden(tmp_path: Path) -> None:
    runs = [replace(planned(tmp_path)[0], request=Stores(RUNS[0], tmp_path, KeyError("x")))]
    with pytest.raises(KeyError):
        carry_out(work_on(runs, {tmp_path: {}}), Recorder(), never)
    assert list((tmp_path / ".started").iterdir()) == []


def test_what_another_process_has_is_left_for_the_end(tmp_path: Path, other: subprocess.Popen[bytes]) -> None:
    has(other, RUNS[0], tmp_path)
    told = Recorder()

    def finished(_: float) -> None:
        stored(tmp_path, made(RUNS[0]))

    carry_out(work_on(planned(tmp_path), {tmp_path: {}}), told, finished)
    assert told.calls == [("ended", RUNS[1]), ("ended", RUNS[2]), ("waits", "1"), ("there", RUNS[0])]
    assert len(read_results(tmp_path)) == 3


def test_what_a_process_drops_by_dying_is_taken_over_and_cleared(tmp_path: Path, other: subprocess.Popen[bytes]) -> None:
    has(other, RUNS[0], tmp_path)
    home = home_of("shop/churn", "constant", tmp_path)
    home.mkdir(parents=True)
    (home / f"frozen-seed0-{RUNS[0]}-20260101T000000Z-00000000.parquet").write_bytes(b"half")
    (home / f"{partials_of(other.pid)}abc").write_bytes(b"half")
    (home / f"{partials_of(other.pid + 1)}abc").write_bytes(b"of another")
    told = Recorder()

    def dies(_: float) -> None:
        other.kill()
        other.wait()

    carry_out(work_on(planned(tmp_path), {tmp_path: {}}), told, dies)
    assert told.calls == [("ended", RUNS[1]), ("ended", RUNS[2]), ("waits", "1"), ("ended", RUNS[0])]
    assert list((tmp_path / ".started").iterdir()) == []
    assert {path.name for path in home.iterdir() if path.suffix != ".json"} == {f"{partials_of(other.pid + 1)}abc"}


def test_a_run_that_ends_its_process_again_and_again_is_left(tmp_path: Path) -> None:
    mark = tmp_path / ".started" / f"{RUNS[0]}.{MOST_DEATHS + 1}.json"
    work = work_on(planned(tmp_path)[:1], {tmp_path: {}})
    mark.parent.mkdir()
    own = this_process()
    dead = {"host": own.host, "pid": own.pid, "process_started": "earlier"}
    (mark.parent / f"{RUNS[0]}.{MOST_DEATHS}.json").write_text(json.dumps(dead))
    told = Recorder()
    carry_out(work, told, never)
    assert [kind for kind, _ in told.calls] == ["fault"] and "ended its process 3 times" in told.calls[0][1]
    # the next start begins to count anew
    again = Recorder()
    carry_out(work_on(planned(tmp_path)[:1], {tmp_path: {}}), again, never)
    assert again.calls == [("ended", RUNS[0])]


def test_a_result_that_came_after_the_look_is_not_made_again(tmp_path: Path) -> None:
    work = work_on(planned(tmp_path), {tmp_path: scan(tmp_path)})
    stored(tmp_path, made(RUNS[1]))
    told = Recorder()
    carry_out(work, told, never)
    assert told.calls == [("ended", RUNS[0]), ("there", RUNS[1]), ("ended", RUNS[2])]


def test_the_result_is_there_before_the_mark_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = store.place
    marks: list[int] = []

    def placed(outcome: Outcome, folder: Path) -> Outcome:
        written = place(outcome, folder)
        marks.append(len(Claims(tmp_path).marks()))
        return written

    monkeypatch.setattr(store, "place", placed)
    carry_out(work_on(planned(tmp_path), {tmp_path: {}}), Recorder(), never)
    assert marks == [1, 1, 1]
