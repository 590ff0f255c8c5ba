"""The shell: `relbench-harness run | try | explain | predict | status | audit | backtest | rank | publish | list | cache | dataset | task`.

Invariant: every command passes `main`, the one place that turns what a user can mend (bad input, a full disk, a damaged
file, a server that is down: `errors.sentence`) into one sentence on standard error and exit code 2. Ctrl-C is one line and
exit code 130; SIGTERM and SIGHUP end the same way, with 143 and 129, and leave no temporary file. Anything else is a fault of
the program and shows its traceback. Where nobody reads standard output any more, the work is done all the same.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from relbench_harness.authoring.commands import add_commands
from relbench_harness.caching import add_cache
from relbench_harness.contributions.commands import add_commands as add_contributions
from relbench_harness.ending import noted, own_signals
from relbench_harness.errors import ResultWarning, explained
from relbench_harness.explaining.command import add_explain
from relbench_harness.models.commands import add_predict
from relbench_harness.presets import OF_AUDIT, check_choices, check_options
from relbench_harness.ranking import add_rankings
from relbench_harness.site.command import add_publish
from relbench_harness.streams import say, show, standard_output, unread
from relbench_harness.trial.command import add_try

VERBOSE = {"-v", "--verbose"}
DRY_RUN = "--dry-run"
SHORT = "--short"
INTERRUPTED = 130
"""The exit code of a shell command that Ctrl-C ended."""


class Terminated(KeyboardInterrupt):
    """Another process signalled this one to end: what is under way is cleaned up as after Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code: 0, 1 when a run or an audit failed, 2 for bad input, 130 when interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    verbose = bool(VERBOSE & set(given))
    _prepare(verbose)
    try:
        with _ended_by_signals(), _watched():
            code = _act([word for word in given if word not in VERBOSE])
            sys.stdout.flush()
            return code
    except KeyboardInterrupt as ended:
        return _interrupted(ended, "what was finished before is kept, and nothing is half-written")
    except BrokenPipeError:
        unread()
        return 0
    except Exception as error:
        say(explained(error))
        return 2


def _interrupted(ended: KeyboardInterrupt, kept: str) -> int:
    """Says what is left of a command that was ended; returns its exit code."""
    say(f"{'terminated' if isinstance(ended, Terminated) else 'interrupted'}; {kept}")
    return ended.code if isinstance(ended, Terminated) else INTERRUPTED


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP raise `Terminated` in this process, as Ctrl-C does its own; those that it starts end at once, as always."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner = os.getpid()

    def end(number: int, _: FrameType | None) -> None:
        if os.getpid() == owner:
            raise noted(KeyboardInterrupt() if number == signal.SIGINT else Terminated(number))
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    # a signal that is ignored, as under nohup, stays so
    standard = {signal.SIGTERM: signal.SIG_DFL, signal.SIGHUP: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
    before = {number: handler for number, handler in standard.items() if signal.getsignal(number) is handler}
    for number in before:
        signal.signal(number, end)
    try:
        with own_signals():
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watched() -> AbstractContextManager[None]:
    """Draws progress where standard error is a terminal."""
    if not sys.stderr.isatty():
        return nullcontext()
    from relbench_harness.bars import drawn

    return drawn()


def _act(given: Sequence[str]) -> int:
    if given and given[0] in COMPOSED and not {"-h", "--help"} & set(given):
        return COMPOSED[given[0]](list(given[1:]))
    parsed = _parser().parse_args(given)
    if not hasattr(parsed, "act"):
        _parser().print_help()
        return 2
    return int(parsed.act(parsed))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="relbench-harness",
        description="Benchmark machine learning on relational databases.",
        epilog="-v, --verbose says on standard error what is being done, and shows the tracebacks behind errors.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="run a method on a task; -m sweeps over comma lists",
        usage="relbench-harness run [-m] [--dry-run] task=DATASET/TASK method=NAME [seed=0] [regime=frozen|rolling] [KEY=VALUE …]",
        description="Every key of configs/config.yaml and of the method's own config can be set, as Hydra reads them. "
        "Runs whose results are in the folder are not made again (resume=false does so); --dry-run says what would run.",
    )
    run.add_argument("-m", "--multirun", action="store_true", help="run every combination of the comma lists")
    run.add_argument("--dry-run", action="store_true", help="say what would run and what is there; write nothing")
    run.set_defaults(act=lambda _: 0)
    audit = commands.add_parser(
        "audit",
        help="prove that a method is safe in time: no later row, no label and no clock changes what it answers",
        usage="relbench-harness audit [-m] [--short] task=DATASET/TASK method=NAME [seed=0] [regime=frozen|rolling] [KEY=VALUE …]",
        description="Takes the keys of run. The report goes to audit/ in results_dir, and rank shows who is audited.",
    )
    audit.add_argument("-m", "--multirun", action="store_true", help="audit every combination that has no report yet")
    audit.add_argument("--short", action="store_true", help="let the method learn for a moment, from few examples")
    audit.set_defaults(act=lambda _: 0)
    _add_backtest(commands)
    add_rankings(commands)
    add_publish(commands)
    add_cache(commands)
    add_predict(commands)
    add_explain(commands)
    add_try(commands)
    status = commands.add_parser("status", help="say how far the sweeps of a results folder have come")
    status.add_argument("results", type=Path, help="a folder of results")
    status.add_argument("sweep", nargs="?", help="the name of one sweep (default: all of the folder)")
    status.set_defaults(act=_status)
    listing = commands.add_parser("list", help="list datasets, tasks or methods")
    listing.add_argument("what", choices=("datasets", "tasks", "methods"))
    listing.set_defaults(act=_list)
    add_commands(commands)
    add_contributions(commands)
    return parser


def _add_backtest(commands: Any) -> None:
    backtest = commands.add_parser(
        "backtest",
        help="what a model is worth as it ages: several cut-offs in a row, with and without refreshing it",
        usage="relbench-harness backtest task=DATASET/TASK method=NAME [origins=6] [refresh=never,every,warm] "
        "[step=span|horizon] [last=val|test] [KEY=VALUE …]",
        description="Takes the keys of run. Files go to backtests/ in results_dir; docs/drift.md says what they hold.",
    )
    backtest.set_defaults(act=lambda _: 0)


def _run(given: list[str]) -> int:
    overrides = [one for one in given if one != DRY_RUN]
    check_options(overrides)
    check_choices(overrides)
    from relbench_harness.runs import Screen, dry_run, run

    screen = Screen(show, say)
    try:
        (dry_run if DRY_RUN in given else run)(overrides, screen)
    except KeyboardInterrupt as early:
        ended = screen.ended_runs
        runs = "run is" if ended == 1 else "runs are"
        return _interrupted(early, f"{ended} finished {runs} kept, the one in progress is not")
    return screen.code


def _status(parsed: argparse.Namespace) -> int:
    from relbench_harness.sweep.status import status_of

    for line in status_of(parsed.results, parsed.sweep).lines():
        show(line)
    return 0


def _audit(given: list[str]) -> int:
    overrides, short = [one for one in given if one != SHORT], SHORT in given
    check_options(given, "audit", OF_AUDIT)
    from relbench_harness.auditing import audit_all, audit_overrides, printed

    if {"-m", "--multirun"} & set(overrides):
        return audit_all(overrides, short, show, say)
    report, path = audit_overrides(overrides, short)
    console = standard_output()
    console.print(printed(report))
    console.print(f"{'passed' if report.passed else 'failed'} in {report.seconds:.0f} s; wrote {path}", soft_wrap=True)
    return 0 if report.passed else 1


def _backtest(overrides: list[str]) -> int:
    from relbench_harness.backtests.command import backtest

    return backtest(overrides)


COMPOSED: Mapping[str, Callable[[list[str]], int]] = {"run": _run, "audit": _audit, "backtest": _backtest}
"""Commands whose words are settings, as Hydra reads them."""


def _list(parsed: argparse.Namespace) -> int:
    from relbench_harness.data.names import dataset_folder, dataset_names, hosted, task_names
    from relbench_harness.presets import method_names

    if parsed.what == "methods":
        names = method_names()
    elif parsed.what == "datasets":
        names = sorted({*dataset_names(), *hosted()})
    else:
        folders = {name: dataset_folder(name) for name in dataset_names()}
        names = [f"{name}/{task}" for name, folder in folders.items() if folder for task in task_names(folder)]
    print("\n".join(names))
    return 0


class _ToStandardError(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to standard error as it is now: while bars are drawn, what is written goes above them."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, _: TextIO) -> None:
        return


_SAYS = _ToStandardError()


def _say_warning(message: Warning | str, *_: object, **__: object) -> None:
    say(f"warning: {message}")


def _prepare(verbose: bool) -> None:
    """Keeps other packages' advice off the screen (a run's own failures are logged), and their idle threads off the cores.

    Threads of OpenMP that spin while they wait for each other take several times the seconds on a machine that has
    other work. The libraries read this when they are loaded, so it is set before.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _ready_streams()
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    ours = logging.getLogger("relbench_harness")
    ours.setLevel(logging.INFO if verbose else logging.ERROR)
    # each line is said once, by one handler
    ours.propagate = not verbose
    (ours.addHandler if verbose else ours.removeHandler)(_SAYS)
    warnings.simplefilter("ignore")
    warnings.simplefilter("always", ResultWarning)
    warnings.showwarning = _say_warning


def _ready_streams() -> None:
    """Makes standard output and standard error take all that is said, whatever the locale, and where they are closed."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


if __name__ == "__main__":
    sys.exit(main())
