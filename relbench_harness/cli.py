"""The shell: `relbench-harness run | rank | list | dataset | task`. Bad input is one sentence on standard error and exit code 2."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from relbench_harness.authoring.commands import add_commands
from relbench_harness.errors import InputError, ResultWarning


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code: 0, 1 when a run failed, 2 for bad input."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    _prepare()
    try:
        if given[:1] == ["run"] and not {"-h", "--help"} & set(given):
            return _run(given[1:])
        parsed = _parser().parse_args(given)
        if not hasattr(parsed, "act"):
            _parser().print_help()
            return 2
        return int(parsed.act(parsed))
    except InputError as error:
        _say_error(error)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="relbench-harness", description="Benchmark machine learning on relational databases."
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="run a method on a task; -m sweeps over comma lists",
        usage="relbench-harness run [-m] task=DATASET/TASK method=NAME [seed=0] [regime=frozen|rolling] [KEY=VALUE …]",
        description="Every key of configs/config.yaml and of the method's own config can be set, as Hydra reads them.",
    )
    run.set_defaults(act=lambda _: 0)
    rank = commands.add_parser("rank", help="print the leaderboard of stored results; writes Markdown and CSV")
    rank.add_argument("results", type=Path, help="a folder of results")
    rank.add_argument("--out", type=Path, help="folder for leaderboard.md and leaderboard.csv (default: the results)")
    rank.add_argument("--svg", type=Path, metavar="FILE", help="also draw the leaderboard as a picture")
    rank.set_defaults(act=_rank)
    listing = commands.add_parser("list", help="list datasets, tasks or methods")
    listing.add_argument("what", choices=("datasets", "tasks", "methods"))
    listing.set_defaults(act=_list)
    add_commands(commands)
    return parser


def _run(overrides: list[str]) -> int:
    from relbench_harness.compose import run_overrides
    from relbench_harness.protocol.result import Result

    codes = [0]
    console = Console()

    def report(result: Result) -> None:
        codes.append(0 if result.ok else 1)
        line = f"{result.task}  {result.method}  seed {result.seed}  {result.regime}  "
        if result.ok:
            value = result.scores["val"].get(result.metric, float("nan"))
            line += f"{result.metric} val {value:.4f} test {result.score:.4f}  {result.seconds['total']:.1f} s"
        else:
            line += f"failed ({result.status}): {result.error}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    def fail(error: InputError) -> None:
        codes.append(2)
        _say_error(error)

    run_overrides(overrides, report, fail)
    return max(codes)


def _rank(parsed: argparse.Namespace) -> int:
    from relbench_harness.board import render, store
    from relbench_harness.board.ceiling import with_ceilings
    from relbench_harness.board.leaderboard import leaderboard

    results = store.read_results(parsed.results)
    if not results:
        raise InputError(f"no results in {parsed.results}")
    table = with_ceilings(leaderboard(results))
    render.show(table, Console())
    render.write(table, parsed.out or (parsed.results if parsed.results.is_dir() else parsed.results.parent))
    if parsed.svg is not None:
        parsed.svg.parent.mkdir(parents=True, exist_ok=True)
        parsed.svg.write_text(render.svg(table), encoding="utf-8")
    return 0


def _list(parsed: argparse.Namespace) -> int:
    from relbench_harness.data.dataset import dataset_names, open_dataset
    from relbench_harness.data.hub import hosted

    if parsed.what == "methods":
        from relbench_harness.compose import method_names

        names = method_names()
    elif parsed.what == "datasets":
        names = sorted({*dataset_names(), *hosted()})
    else:
        names = [f"{name}/{task}" for name in dataset_names() for task in open_dataset(name).task_names]
    print("\n".join(names))
    return 0


def _say_error(error: InputError) -> None:
    print(f"relbench-harness: {error}", file=sys.stderr)


def _say_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"relbench-harness: warning: {message}", file=sys.stderr)


def _prepare() -> None:
    """Keeps other packages' advice off the screen (a run's own failures are logged), and their idle threads off the cores.

    Threads of OpenMP that spin while they wait for each other take several times the seconds on a machine that has
    other work. The libraries read this when they are loaded, so it is set before.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    warnings.simplefilter("ignore")
    warnings.simplefilter("always", ResultWarning)
    warnings.showwarning = _say_warning


if __name__ == "__main__":
    sys.exit(main())
