"""The shell's commands for authors: `task new`. Errors of input are `InputError`; findings are exit code 1."""

from __future__ import annotations

import argparse
from typing import Any


def add_commands(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Register the authoring commands; each sets `act`, a function of the parsed arguments that returns an exit code."""
    _task(subparsers)


def _task(subparsers: argparse._SubParsersAction[Any]) -> None:
    task = subparsers.add_parser("task", help="make a task").add_subparsers(dest="task_command", required=True)
    new = task.add_parser("new", help="write a task from a predictive query")
    new.add_argument("task", metavar="DATASET/TASK")
    new.add_argument("query", metavar="QUERY", help="PREDICT … FOR EACH table.key [WHERE …]")
    new.add_argument("--eval-timestamps", type=int, default=1, metavar="N", help="ask at N times, a horizon apart")
    new.add_argument("--force", action="store_true", help="replace the task of that name")
    new.set_defaults(act=_new_task)


def _new_task(arguments: argparse.Namespace) -> int:
    from relbench_harness.authoring.new_task import new_task

    for line in new_task(arguments.task, arguments.query, arguments.eval_timestamps, arguments.force):
        print(line, flush=True)
    return 0
