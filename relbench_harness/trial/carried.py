"""The whole of a trial: dataset, check, task, runs, report, within the minutes.

Invariant: what is refused is refused before the first run. From then on there is a report, whatever the methods do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from relbench_harness.authoring.check import check_dataset
from relbench_harness.authoring.check_page import page as check_page
from relbench_harness.authoring.check_report import Report
from relbench_harness.authoring.wanted import Wanted
from relbench_harness.board import store
from relbench_harness.board.store import folder_name
from relbench_harness.data.dataset import open_task
from relbench_harness.data.task import TaskType
from relbench_harness.data.writing import write_whole
from relbench_harness.errors import InputError
from relbench_harness.progress import work
from relbench_harness.site.publish import check_extra
from relbench_harness.trial.carry_out import ISOLATION, Attempt, Bounds, attempts
from relbench_harness.trial.facts import Trial
from relbench_harness.trial.looked_at import looked_at
from relbench_harness.trial.plan import SLACK, TURNS, Turn, for_report
from relbench_harness.trial.report import TrialReport, report_of, write_report
from relbench_harness.trial.source import dataset_of
from relbench_harness.trial.task import Chosen, task_of

LEAST_MINUTES = 0.1


@dataclass(frozen=True)
class Request:
    """What is to be tried.

    Attributes:
        source: A dataset or a source of one.
        query: A predictive query, or a task that the dataset has.
        minutes: What the whole takes.
        capacity: How many entities can be acted on at a time.
        to: The folder of the report and the results; after the task where None.
        imports: Where imports go.
        name, task: What a new dataset and a new task are called.
        isolation: Where methods run.
        eval_timestamps: At how many times validation and test each ask; as many as fit where None.
    """

    source: str
    query: str
    imports: Path
    minutes: float = 10.0
    capacity: int | None = None
    to: Path | None = None
    name: str | None = None
    task: str | None = None
    eval_timestamps: int | None = None
    wanted: Wanted = field(default_factory=lambda: Wanted(take_all=True))
    turns: Sequence[Turn] = TURNS
    isolation: str = ISOLATION

    def check(self) -> None:
        """Raises `InputError` for what is wrong with the request itself; nothing is read."""
        if not LEAST_MINUTES <= self.minutes <= 7 * 24 * 60:
            raise InputError(f"--minutes is {self.minutes:g}; it is a number from {LEAST_MINUTES:g} to {7 * 24 * 60}")
        if self.capacity is not None and self.capacity < 1:
            raise InputError(f"--capacity is {self.capacity}; it is a whole number, at least 1")
        if self.eval_timestamps is not None and self.eval_timestamps < 1:
            raise InputError(f"--eval-timestamps is {self.eval_timestamps}; it is a whole number, at least 1")
        check_extra()


@dataclass(frozen=True)
class Carried:
    """What a trial came to."""

    trial: Trial
    report: TrialReport
    path: Path


Say = Callable[[str], None]


@dataclass
class _Clock:
    """The seconds of each step of a command that began at `begin`."""

    begin: float = field(default_factory=time.monotonic)
    taken: dict[str, float] = field(default_factory=dict)
    _last: float = field(default_factory=time.monotonic)

    def step(self, name: str) -> float:
        now = time.monotonic()
        self.taken[name], self._last = now - self._last, now
        return self.taken[name]


def carry_out(request: Request, say: Say, begin: float | None = None) -> Carried:
    """Carries out a trial, and writes its report.

    Args:
        say: Is called with a line at each step.
        begin: `time.monotonic()` from which the minutes count; now where None.

    Raises:
        InputError: The source, the query or an option will not do, or nothing can be written.
    """
    clock = _Clock(time.monotonic() if begin is None else begin)
    request.check()
    with work("rows") as bar:
        rows = lambda table, count: bar.at(count, f"of {table}")  # noqa: E731
        found = dataset_of(request.source, request.imports, request.wanted, request.name, rows)
    say(f"{found.how}: dataset {found.address}, {clock.step('import'):.1f} s")
    chosen = task_of(found.address, request.query, request.task, request.eval_timestamps)
    folder = request.to or Path("trials") / folder_name(chosen.address.replace("/", "__"))
    store.ready(folder / "results")
    _check_capacity(request, chosen)
    say(f"{'wrote' if chosen.written else 'there'}: task {chosen.address}, {clock.step('task'):.1f} s")
    checked = check_dataset(found.address, (chosen.address.rpartition("/")[2],))
    write_whole(folder / "check.html", check_page(checked))
    _say_checked(checked, say, clock.step("check"))
    seconds = 60 * request.minutes
    bounds = Bounds(
        clock.begin + seconds - for_report(seconds), SLACK * seconds, folder / "results", isolation=request.isolation
    )
    made: list[Attempt] = []
    for one in attempts(chosen.address, request.turns, bounds, lambda method, s: say(f"{method}: at most {s:.0f} s")):
        made.append(one)
        say(_line(one))
    clock.step("methods")
    trial = Trial(found, chosen, checked, made, folder, request.minutes, dict(clock.taken), request.capacity)
    looked = looked_at(trial)
    clock.step("explanation")
    trial = replace(trial, seconds=dict(clock.taken), looked_at=looked)
    report = report_of(trial)
    path = write_report(report, folder)
    say(f"report: {clock.step('report'):.1f} s; {time.monotonic() - clock.begin:.0f} s in all")
    return Carried(trial, report, path)


def _check_capacity(request: Request, chosen: Chosen) -> None:
    if request.capacity is not None and (kind := open_task(chosen.address)[1].type) is not TaskType.BINARY:
        raise InputError(
            f"--capacity is for tasks with two classes, and {chosen.address} is a {kind.replace('_', ' ')}; leave it out"
        )


def _say_checked(checked: Report, say: Say, seconds: float) -> None:
    errors = sum(f.level == "error" for f in checked.findings)
    say(f"checked: {errors} errors, {len(checked.findings) - errors} leaks, {seconds:.1f} s")


def _line(one: Attempt) -> str:
    if one.result is None or not one.scored:
        return f"{one.method}: no score: {one.why}"
    result = one.result
    value = result.scores["val"].get(result.metric, float("nan"))
    return f"{one.method}: {result.metric} val {value:.4f} test {result.score:.4f}, {result.seconds_warm['total']:.1f} s"
