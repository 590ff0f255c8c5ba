"""What workers say reaches the shell once, whatever is half-written, repeated or lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from sweep_results import entry, made

from relbench_harness.protocol.result import Outcome, Result
from relbench_harness.sweep.carry_out import Work
from relbench_harness.sweep.claims import this_process
from relbench_harness.sweep.ledger import ENDED, FAULT, SAID, THERE, Ledger
from relbench_harness.sweep.plan import Keep, Planned
from relbench_harness.sweep.reports import Reader, Writer


@dataclass(frozen=True)
class Never:
    """A request that is not executed here."""

    def execute(self, keep: Keep) -> Outcome:
        raise NotImplementedError


@dataclass
class Recorder:
    calls: list[tuple[str, str]] = field(default_factory=list)

    def ended(self, run: Planned, result: Result) -> None:
        self.calls.append(("ended", run.entry.identity[0]))

    def fault(self, run: Planned, sentence: str) -> None:
        self.calls.append(("fault", run.entry.identity[0]))

    def there(self, run: Planned) -> None:
        self.calls.append(("there", run.entry.identity[0]))

    def waits(self, runs: int) -> None:
        self.calls.append(("waits", str(runs)))

    def said(self, sentence: str) -> None:
        self.calls.append(("said", sentence))


RUNS = [Planned(entry(digit * 32), Never(), Path("results")) for digit in "1234"]


def test_the_reader_gets_whole_lines_of_every_worker_once(tmp_path: Path) -> None:
    numbers = {id(run): number for number, run in enumerate(RUNS)}
    one, two, reader = Writer(tmp_path, numbers), Writer(tmp_path, numbers), Reader(tmp_path)
    assert list(reader.new()) == []
    one.begun()
    one.said("ä sentence")
    two.ended(RUNS[2], made("3" * 32))
    file = tmp_path / f"{one.name}.reports"
    whole = file.read_bytes()
    file.write_bytes(whole + b'["fault", 1, "half')
    read = sorted(reader.new(), key=lambda report: report[0])
    assert read == [(ENDED, 2, made("3" * 32)), (SAID, -1, "ä sentence")]
    assert reader.owners == [this_process()]
    assert list(reader.new()) == []
    file.write_bytes(whole + b'["fault", 1, "half a line"]\n')
    assert list(reader.new()) == [(FAULT, 1, "half a line")]


def test_a_worker_is_stopped_by_a_file_and_where_the_folder_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    writer = Writer(folder, {})
    assert not writer.is_stopped
    Reader(folder).stop()
    assert writer.is_stopped
    gone = Writer(tmp_path / "gone", {})
    gone.said("nobody reads it")
    assert gone.is_stopped and not (tmp_path / "gone").exists()


def test_each_run_is_said_once() -> None:
    recorder = Recorder()
    ledger = Ledger(Work(RUNS), recorder)
    for kind, number, what in [
        (THERE, 0, ""),
        (ENDED, 0, made("1" * 32)),
        (ENDED, 0, made("1" * 32)),
        (FAULT, 1, "wrong"),
        (FAULT, 1, "wrong"),
        (SAID, -1, "the disk is full"),
        (SAID, -1, "the disk is full"),
        (THERE, 2, ""),
    ]:
        ledger.take(kind, number, what)
    assert ledger.known == 3 and not ledger.is_complete
    ledger.close("the workers ended")
    assert recorder.calls == [
        ("ended", "1"),
        ("fault", "2"),
        ("said", "the disk is full"),
        ("there", "3"),
        ("fault", "4"),
    ]
