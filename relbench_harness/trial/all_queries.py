"""`try URI --all N`: the queries that a schema offers, tried one after another within the minutes, and one page over all of them.

Invariant: a query that will not do is a row with its reason, and those after it have their turn. Each trial is an ordinary one with a
report of its own; the page holds what these found and nothing else.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from relbench_harness.authoring.suggestions import Suggestion, suggestions
from relbench_harness.board.store import folder_name
from relbench_harness.data.dataset import open_dataset
from relbench_harness.errors import InputError
from relbench_harness.site.tables import Cell, Column, Table, TableRow
from relbench_harness.site.words import NOTHING, fixed, metric_name
from relbench_harness.trial.carried import Carried, Request, Say, carry_out
from relbench_harness.trial.facts import Trial
from relbench_harness.trial.parts import Part, Step
from relbench_harness.trial.plan import REFERENCE, RULES
from relbench_harness.trial.report import TrialReport, write_report
from relbench_harness.trial.source import dataset_of
from relbench_harness.trial.verdict import Verdict, better_than

MOST = 200
FEWEST_MINUTES = 0.5
"""A trial is given no less, so that with few minutes some queries are learned rather than all answered by a rule."""


@dataclass(frozen=True)
class Entry:
    """A query and what its trial came to, or why there was none."""

    suggestion: Suggestion
    carried: Carried | None = None
    why: str = ""


@dataclass(frozen=True)
class Board:
    """What was found about a dataset.

    Attributes:
        methods: In the order in which they run.
        seconds: What the whole took.
    """

    dataset: str
    methods: Sequence[str]
    entries: Sequence[Entry]
    path: Path
    seconds: float
    verdict: Verdict = field(default_factory=lambda: Verdict(""))


def try_all(request: Request, number: int, say: Say, begin: float | None = None) -> Board:
    """Tries at most `number` suggested queries, the most useful first, in equal parts of the minutes that are left, but
    no less than `FEWEST_MINUTES` each; those for which none are left have no trial.

    Args:
        request: As for one trial, without a query.

    Raises:
        InputError: The source or an option will not do, or the schema offers no query.
    """
    start = time.monotonic() if begin is None else begin
    _check(request, number)
    found = dataset_of(request.source, request.imports, request.wanted, request.name, lambda table, count: None)
    say(f"{found.how}: dataset {found.address}, {time.monotonic() - start:.1f} s")
    offered = suggestions(open_dataset(found.address), number)
    if not offered:
        raise InputError(f"the schema of {found.address} offers no query with labels in all splits; write one yourself")
    say(f"{len(offered)} queries, {time.monotonic() - start:.1f} s")
    folder = request.to or Path("trials") / folder_name(found.address)
    entries = list(_entries(replace(request, source=found.address, name=None), folder, offered, start, say))
    methods = [turn.method for turn in request.turns]
    board = Board(found.address, methods, entries, folder / "report.html", time.monotonic() - start)
    board = replace(board, verdict=verdict_of(board))
    write_report(report_of_all(board), folder)
    return board


def _check(request: Request, number: int) -> None:
    request.check()
    if not 1 <= number <= MOST:
        raise InputError(f"--all is {number}; it is a whole number from 1 to {MOST}")
    for name, value in (
        ("--task", request.task),
        ("--capacity", request.capacity),
        ("--eval-timestamps", request.eval_timestamps),
    ):
        if value is not None:
            raise InputError(f"{name} belongs to one query; leave it out with --all")


def _entries(request: Request, folder: Path, offered: Sequence[Suggestion], start: float, say: Say) -> Iterator[Entry]:
    for place, one in enumerate(offered):
        left = 60 * request.minutes - (time.monotonic() - start)
        minutes = round(max(left / (len(offered) - place) / 60, FEWEST_MINUTES), 2)
        if left < 60 * FEWEST_MINUTES:
            yield Entry(one, why="no time was left")
            continue
        say(f"{place + 1} of {len(offered)}: {one.name}, {60 * minutes:.0f} s")
        its_own = replace(
            request,
            query=one.query,
            task=one.name,
            eval_timestamps=one.eval_timestamps,
            minutes=minutes,
            to=folder / one.name,
        )
        try:
            yield Entry(one, carry_out(its_own, lambda line: None))
        except InputError as error:
            yield Entry(one, why=str(error))


# -- the page ---------------------------------------------------------------------------------------------------------------


def verdict_of(board: Board) -> Verdict:
    """In how many tasks something beats the simple rule, and in how many the plain reference."""
    trials = [entry.carried.trial for entry in board.entries if entry.carried is not None and entry.carried.trial.lines]
    if not trials:
        return Verdict("No query came to a score.")
    beaten = sum(any(name not in RULES for name in better_than(t, t.rule)) for t in trials if t.rule is not None)
    plain = [t for t in trials if t.reference == REFERENCE and t.learned is not None]
    better = sum(any(name not in RULES for name in better_than(t, REFERENCE)) for t in plain)
    said = [
        *([f"In {better} of {len(plain)} a method is shown to beat the plain features of `{REFERENCE}`."] if plain else []),
        f"{len(trials)} of {len(board.entries)} queries were tried in {board.seconds / 60:.1f} minutes. Each of them has a report of its own.",
        "Shown means: the 95 % interval of the difference leaves out zero, corrected for the methods of one task, not for the tasks.",
    ]
    return Verdict(f"In {beaten} of {len(trials)} tasks a model is shown to beat the simple rule.", tuple(said))


def report_of_all(board: Board) -> TrialReport:
    """The page over all trials, of the same parts as that of one."""
    columns = (
        Column("task"), Column("examples in test", True), Column("metric"),
        *(Column(method, True, "score on test, with 95 % interval") for method in board.methods), Column("verdict"),
    )  # fmt: skip
    table = Table(f"Tasks of {board.dataset}", columns, tuple(_row(board, entry) for entry in board.entries))
    queries = tuple(
        Step(f"`{entry.suggestion.name}`: {_about(entry.suggestion)}", entry.suggestion.query) for entry in board.entries
    )
    parts = (Part("board", "Tasks and methods", tables=(table,)), Part("queries", "Queries", steps=queries))
    listed = f"relbench-harness task suggest {board.dataset} --limit {len(board.entries)}"
    return TrialReport(board.dataset, listed, board.verdict, parts)


def _about(one: Suggestion) -> str:
    return (
        f"{one.kind}, {one.rate}, {sum(one.examples.values()):,} examples from {one.first:%Y-%m-%d} to {one.last:%Y-%m-%d}."
    )


def _row(board: Board, entry: Entry) -> TableRow:
    name = entry.suggestion.name
    tests = entry.suggestion.examples["test"]
    if entry.carried is None:
        empty = tuple(Cell(NOTHING) for _ in board.methods)
        return TableRow((Cell(name), Cell(f"{tests:,}", tests), Cell(NOTHING), *empty, Cell(entry.why)), failed=True)
    trial = entry.carried.trial
    best = next(iter(trial.lines), None)
    return TableRow(
        (
            Cell(name, href=f"{name}/report.html"),
            Cell(f"{tests:,}", tests),
            Cell(f"{metric_name(trial.metric)}{'' if trial.higher_is_better else ', lower is better'}"),
            *(_score(trial, method, method == best) for method in board.methods),
            Cell(entry.carried.report.verdict.headline.replace("`", "")),
        )
    )


def _score(trial: Trial, method: str, is_best: bool) -> Cell:
    line = trial.lines.get(method)
    if line is None:
        return Cell(NOTHING)
    value, low, high = (line.number(name) for name in ("test", "low", "high"))
    beside = "" if math.isnan(low) else f"{fixed(low, 3)} to {fixed(high, 3)}"
    return Cell(fixed(value, 3), value, beside=beside, strong=is_best)
