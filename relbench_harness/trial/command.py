"""The command `try`: from a database and a predictive query to a report, within minutes and without a further question."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relbench_harness.authoring.commands import SOURCES, add_import_options, datasets_folder, wanted_of
from relbench_harness.errors import InputError
from relbench_harness.streams import say, show

if TYPE_CHECKING:
    from relbench_harness.trial.carried import Request


def add_try(commands: Any) -> None:
    """Adds the command to the shell."""
    tried = commands.add_parser(
        "try",
        help="try the shipped methods on a database: import, check, runs and a report within minutes",
        description="Imports the source (or finds the import of before), checks it, writes the task, runs a constant, past labels, plain "
        "features, synthesised features, a network and a mixture within the minutes, and writes report.html and report.md.",
    )
    tried.add_argument("source", metavar="URI", help=f"{SOURCES}; or the name of a dataset that is there")
    tried.add_argument(
        "query", metavar="QUERY", nargs="?", help="PREDICT … FOR EACH table.key [WHERE …]; or a task of the dataset"
    )
    tried.add_argument("--all", type=int, metavar="N", help="instead of a query: the N most useful that the schema offers")
    tried.add_argument("--minutes", type=float, default=10.0, metavar="N", help="for the whole command (default: 10)")
    tried.add_argument(
        "--capacity", type=int, metavar="K", help="report the precision of the K highest predictions of each time"
    )
    tried.add_argument(
        "--to", type=Path, metavar="FOLDER", help="of the report and the results (default: trials/DATASET__TASK)"
    )
    tried.add_argument("--name", metavar="NAME", help="what the imported dataset is called (default: after its source)")
    tried.add_argument("--task", metavar="NAME", help="what a new task is called (default: after its query)")
    tried.add_argument("--methods", metavar="A,B", default="", help="only these (default: six, see docs/try.md)")
    tried.add_argument(
        "--eval-timestamps", type=int, metavar="N", help="ask at N times (default: as many as fit, at most 6)"
    )
    tried.add_argument(
        "--out", type=Path, metavar="FOLDER", help="where an import goes (default: the first folder of datasets)"
    )
    add_import_options(tried)
    tried.set_defaults(act=_try)


def _try(parsed: argparse.Namespace) -> int:
    begin = time.monotonic()
    from dataclasses import replace

    from relbench_harness.trial.carried import Request, carry_out
    from relbench_harness.trial.plan import turns_of

    if (parsed.query is None) == (parsed.all is None):
        raise InputError("try takes either a query or --all N, such as --all 20")
    request = Request(
        source=parsed.source,
        query=parsed.query or "",
        imports=parsed.out or datasets_folder(),
        minutes=parsed.minutes,
        capacity=parsed.capacity,
        to=parsed.to,
        name=parsed.name,
        task=parsed.task,
        eval_timestamps=parsed.eval_timestamps,
        wanted=replace(wanted_of(parsed), take_all=True),
        turns=turns_of([name for name in parsed.methods.split(",") if name]),
    )
    if parsed.all is not None:
        return _try_all(request, parsed.all, begin)
    carried = carry_out(request, say, begin)
    show(carried.report.verdict.headline.replace("`", ""))
    for sentence in carried.report.verdict.said:
        show(f"- {sentence.replace('`', '')}")
    show(f"wrote {carried.path} and report.md beside it")
    return 0


def _try_all(request: Request, number: int, begin: float) -> int:
    from relbench_harness.trial.all_queries import try_all

    board = try_all(request, number, say, begin)
    show(board.verdict.headline)
    for sentence in board.verdict.said:
        show(f"- {sentence.replace('`', '')}")
    show(f"wrote {board.path} and report.md beside it, with a report for each task")
    return 0
