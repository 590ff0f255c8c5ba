"""`relbench-harness run`: what Hydra composes becomes a plan, the folder is looked through, and what is left is made.

Invariant: nothing is written before every folder of results was looked through, and by a dry run nothing at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relbench_harness.compose import Composed, build, composed
from relbench_harness.errors import InputError, explained
from relbench_harness.overrides import MULTIRUN, key_of
from relbench_harness.progress import Work, work
from relbench_harness.together import is_together, make_together

if TYPE_CHECKING:
    from relbench_harness.protocol.result import Result
    from relbench_harness.sweep.identity import Identities
    from relbench_harness.sweep.launchers import Launcher
    from relbench_harness.sweep.plan import Item, Planned
    from relbench_harness.sweep.scan import Found
    from relbench_harness.tracking import Tracker

NAMED = {"task", "method", "seed", "regime"}
"""Settings that the line of a result names in any case."""
Say = Callable[[str], None]


@dataclass
class Screen:
    """What the shell says of the runs, and the exit code that follows.

    Attributes:
        show: Prints a line of standard output.
        say: Prints a sentence on standard error.
        ended: How many runs have a result that this command made.
    """

    show: Say
    say: Say
    trackers: dict[str, Tracker] = field(default_factory=dict)
    bar: Work | None = None
    code: int = 0
    ended_runs: int = 0

    def ended(self, run: Planned, result: Result) -> None:
        self.ended_runs += 1
        self._count(0 if result.ok else 1)
        self.show(result_line(run.entry.line, result))
        if run.save and result.ok:
            self.say(f"the fitted model is kept in {run.save}")
        try:
            self.trackers[run.entry.identity].log(result)
        except Exception as error:
            self._count(2)
            self.say(explained(error))
        self._advance()

    def fault(self, run: Planned, sentence: str) -> None:
        self.refused(sentence)
        self._advance()

    def there(self, run: Planned) -> None:
        self._advance()

    def waits(self, runs: int) -> None:
        several = "1 run is" if runs == 1 else f"{runs} runs are"
        self.say(f"{several} under way in another process; waiting for the end of it")

    def said(self, sentence: str) -> None:
        self.say(sentence)

    def refused(self, sentence: str) -> None:
        """A run that cannot be is bad input."""
        self._count(2)
        self.say(sentence)

    def kept(self, standing: int, failures: int) -> None:
        """Says how many results are there already; a failure among them is one of this sweep, too."""
        if standing:
            self._count(1 if failures else 0)
            runs = "1 run is" if standing == 1 else f"{standing} runs are"
            failed = f", {failures} of them failed (retry=failed repeats those)" if failures else ""
            self.say(f"{runs} already there{failed}; resume=false makes all again")

    def _advance(self) -> None:
        if self.bar is not None:
            self.bar.advance()

    def _count(self, code: int) -> None:
        self.code = max(self.code, code)


def result_line(begins: str, result: Result) -> str:
    """The line that the shell prints of a result."""
    if not result.ok:
        return f"{begins}  failed ({result.status}): {result.error}"
    value = result.scores["val"].get(result.metric, float("nan"))
    line = f"{begins}  {result.metric} val {value:.4f} test {result.score:.4f}  {result.seconds['total']:.1f} s"
    return line + (f"  answered by {result.notes['fallback']}" if "fallback" in result.notes else "")


@dataclass
class _Plan:
    """What a command is to make.

    Attributes:
        jobs: How many workers work at a time.
        launched: The config of the launcher.
        sweeps: Whether it is a sweep, by `-m`, or one run.
        name: Of the sweep, where it has one.
    """

    items: list[Item]
    trackers: dict[str, Tracker]
    jobs: int
    launched: Any
    sweeps: bool
    name: str

    def launcher(self) -> Launcher:
        """Where the workers run. Raises `InputError` where its config does not describe one."""
        made: Launcher = build(self.launched, "launcher")[0]
        return made

    @property
    def runs(self) -> list[Planned]:
        from relbench_harness.sweep.plan import Planned

        return [item for item in self.items if isinstance(item, Planned)]

    def refusals(self) -> list[str]:
        from relbench_harness.sweep.plan import Fault

        return [item.sentence for item in self.items if isinstance(item, Fault)]

    def found(self) -> dict[Path, Found]:
        """What the folders of results hold of the runs."""
        from relbench_harness.sweep.scan import scan

        folders: dict[Path, set[str]] = {}
        for run in self.runs:
            folders.setdefault(run.folder, set()).add(run.entry.identity)
        return {folder: scan(folder, wanted) for folder, wanted in folders.items()}


def run(overrides: Sequence[str], screen: Screen) -> None:
    """Makes the runs that `overrides` describe and that are not there yet.

    Raises:
        InputError: Nothing can be composed, or the folder of results cannot be written to.
    """
    with work("runs") as bar:
        plan = _planned(overrides)
        screen.trackers, screen.bar = plan.trackers, bar
        for sentence in plan.refusals():
            screen.refused(sentence)
        if not plan.runs:
            return
        from relbench_harness.learning_curves import followed
        from relbench_harness.sweep.carry_out import work_on

        if is_together():
            make_together(plan.runs, screen)
            return
        launcher = plan.launcher()
        launcher.check()
        found = plan.found()
        left = work_on(plan.runs, found, plan.sweeps)
        standing = [one for one in (run.standing(found[run.folder]) for run in plan.runs) if one is not None]
        screen.kept(len(standing), sum(not one.ok for one in standing))
        bar.total = len(plan.items)
        bar.at(len(plan.items) - len(left.runs))
        if not left.runs:
            return
        if plan.sweeps or plan.name:
            _leave(plan, screen.say)
        # all runs of a sweep have the same tracker
        tracker = next(iter(plan.trackers.values()))
        with followed(tracker, all(run.request.isolation != "none" for run in plan.runs)):
            launcher.carry_out(left, screen, min(plan.jobs, len(left.runs)))


def dry_run(overrides: Sequence[str], screen: Screen) -> None:
    """Says what `run` would make and what is there; writes nothing into the folder of results."""
    from relbench_harness.sweep.claims import Claims
    from relbench_harness.sweep.scan import scan
    from relbench_harness.sweep.status import Expected, Observed, duration, standing_line

    plan = _planned(overrides)
    for sentence in plan.refusals():
        screen.refused(sentence)
    folders = {run.folder for run in plan.runs}
    found = {folder: scan(folder) for folder in folders}
    expected = {folder: Expected.of(one) for folder, one in found.items()}
    claims = {folder: Claims(folder) for folder in folders}
    marks = {folder: one.marks() for folder, one in claims.items()}
    living = {folder: Observed.of(one, marks[folder].values()) for folder, one in claims.items()}
    seconds: list[float | None] = []
    for one in plan.runs:
        stored, mark = one.standing(found[one.folder]), marks[one.folder].get(one.entry.identity)
        live = mark is not None and living[one.folder](mark)
        takes = expected[one.folder].seconds(one.entry)
        screen.show(standing_line(one.entry, stored, takes, live))
        if stored is None and not live:
            seconds.append(takes)
    known = [one for one in seconds if one is not None]
    total = duration(sum(known) / max(1, min(plan.jobs, len(known)))) if known else "for a time that is not known"
    unknown = f", and {len(seconds) - len(known)} for a time that is not known" if 0 < len(known) < len(seconds) else ""
    would = f"{len(seconds)} would run" + (f", {total}{unknown}" if seconds else "")
    screen.show(f"{would}; {len(plan.runs) - len(seconds)} are there or under way")


def _leave(plan: _Plan, say: Say) -> None:
    """The plan's file, in each folder of results."""
    from relbench_harness.board import store
    from relbench_harness.sweep.plan import leave
    from relbench_harness.sweep.room import when_there_is_room

    for folder in dict.fromkeys(run.folder for run in plan.runs):
        entries = [run.entry for run in plan.runs if run.folder == folder]
        store.ready(folder)
        when_there_is_room(lambda into=folder, of=entries: leave(of, into, plan.name), say)  # type: ignore[misc]


def _planned(overrides: Sequence[str]) -> _Plan:
    sweeps = bool(MULTIRUN & set(overrides))
    name = _sweep_name(overrides)
    reader, jobs, launched = _Reader(), set[int](), list[Any]()
    items: list[Item] = []
    for one in composed([given for given in overrides if not given.startswith(SWEEP)]):
        try:
            if isinstance(one, InputError):
                raise one
            jobs.add(one.config.jobs)
            if one.config.launcher not in launched:
                launched.append(one.config.launcher)
            items.append(reader.planned(one))
        except Exception as error:
            if not sweeps:
                # refused before packages for data are loaded
                raise
            from relbench_harness.sweep.plan import Fault

            items.append(Fault(explained(error)))
    if len(jobs) > 1 or min(jobs, default=1) < 1:
        raise InputError(f"jobs is {', '.join(map(str, sorted(jobs)))}; it is one whole number, at least 1")
    _check_saves(items)
    if len(launched) > 1:
        raise InputError("a sweep has one launcher with one set of settings; start one command for each")
    from relbench_harness.sweep.plan import without_repetitions

    items = without_repetitions(items)
    return _Plan(items, reader.trackers, max(jobs, default=1), next(iter(launched), None), sweeps, name)


def _check_saves(items: Sequence[Item]) -> None:
    """Raises `InputError` where two runs would keep their models in one folder."""
    from relbench_harness.sweep.plan import Planned

    saves = [run.save for run in items if isinstance(run, Planned) and run.save]
    for folder in saves:
        if saves.count(folder) > 1:
            raise InputError(
                f"save={folder} is the folder of {saves.count(folder)} runs; name one for each, such as "
                "'save=models/churn-${seed}', or start one command for each"
            )


SWEEP = "sweep="
"""How the setting begins that names a sweep; it belongs to no run, so Hydra does not see it."""


def _sweep_name(overrides: Sequence[str]) -> str:
    names = [one.removeprefix(SWEEP) for one in overrides if one.startswith(SWEEP)]
    if not names:
        return ""
    from relbench_harness.sweep.plan import check_name

    check_name(names[-1])
    return names[-1]


@dataclass
class _Reader:
    """Makes plans of what is composed; what is learned of datasets and methods serves all runs."""

    trackers: dict[str, Tracker] = field(default_factory=dict)
    _identities: Identities | None = None

    def planned(self, one: Composed) -> Planned:
        """The run as a part of the plan. Raises `InputError` where it cannot be."""
        request, tracker = one.request()
        from relbench_harness.sweep.identity import Identities
        from relbench_harness.sweep.plan import Entry, Planned, kinds

        retry = kinds(one.config.retry)
        request.check()
        if self._identities is None:
            self._identities = Identities()
        request = request.identified(self._identities)
        entry = Entry(
            identity=request.identity,
            task=self._identities.task_id(request.task),
            method=request.name,
            seed=request.budget.seed,
            regime=request.regime,
            budget_seconds=request.budget.seconds,
            swept=tuple(setting for setting in one.swept if key_of(setting) not in NAMED),
        )
        self.trackers[entry.identity] = tracker
        assert request.results_dir is not None
        # a model is kept by the run that fits it, whatever results are there
        resume = one.config.resume and request.save is None
        return Planned(entry, request, Path(request.results_dir), resume, retry, one.given, str(request.save or ""))
