"""The shell's commands for what comes in and goes out, and for what its code is counted as: `validate`,
`lines`, `submission`, `card`, `published`.

Bad input raises `InputError`, which the shell shows with exit code 2; faults that are found are exit code 1.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_commands(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Register the commands; each sets `act`, a function of the parsed arguments that returns an exit code."""
    validate = subparsers.add_parser(
        "validate",
        help="check result lines that are added to a board: format, names, identity, scores made again, audits",
        description="Exit code 0 where all holds, 1 where there are faults, a sentence each, 2 for bad input. What cannot "
        "be checked here, such as scores on a dataset that is not here, is a note.",
    )
    validate.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="folders of results, or result files")
    validate.set_defaults(act=_validate)
    lines = subparsers.add_parser("lines", help="explain the lines of code of a method on a task, file by file")
    lines.add_argument("method", metavar="METHOD")
    lines.add_argument("task", metavar="DATASET/TASK")
    lines.add_argument("--every-file", action="store_true", help="the shared package file by file, too")
    lines.set_defaults(act=_lines)
    submission = subparsers.add_parser(
        "submission",
        help="write a method's predictions as RelBench's own leaderboard takes them; uploads nothing",
        description="One run stands for a task: the newest of its least seed. What each family of tasks lacks is listed.",
    )
    submission.add_argument("results", type=Path, metavar="RESULTS", help="a folder of results")
    submission.add_argument("method", metavar="METHOD", help="what the method is called on the board")
    submission.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="a new folder")
    submission.add_argument("--regime", choices=("frozen", "rolling"), help="which runs, where there are both")
    submission.add_argument("--seed", type=int, metavar="N", help="which seed (default: the least)")
    submission.set_defaults(act=_submission)
    card = subparsers.add_parser(
        "card", help="write a folder of results as a dataset for the Hugging Face hub; uploads nothing"
    )
    card.add_argument("results", type=Path, metavar="RESULTS", help="a folder of results")
    card.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="a new folder")
    card.add_argument(
        "--title", metavar="TEXT", help="what the dataset is called (default: the name of the folder of results)"
    )
    card.set_defaults(act=_card)
    _add_published(subparsers)


def _add_published(subparsers: argparse._SubParsersAction[Any]) -> None:
    published = subparsers.add_parser(
        "published",
        help="turn RelArena's results or RelBench's leaderboard into published rows, to stand beside a board",
        description="Writes a CSV file as results/published holds them. Published rows are marked as not rerun and enter no ranking.",
    )
    published.add_argument(
        "file", type=Path, metavar="FILE", help="RelArena's results as CSV, or RelBench's entries as JSON"
    )
    published.add_argument("--to", type=Path, required=True, metavar="FILE", help="a new CSV file")
    published.add_argument("--source", required=True, metavar="TEXT", help="where and when the values were published")
    published.add_argument(
        "--regime",
        action="append",
        default=[],
        metavar="ENTRY=REGIME",
        help="an entry of RelBench's leaderboard, and frozen or rolling, which its file does not say; may be repeated",
    )
    published.set_defaults(act=_published)


def _validate(parsed: argparse.Namespace) -> int:
    from relbench_harness.contributions.validate import validate

    found = validate(parsed.paths)
    for line in found.said():
        print(line, flush=True)
    return found.code


def _lines(parsed: argparse.Namespace) -> int:
    from relbench_harness.contributions.lines_report import lines_report

    for line in lines_report(parsed.method, parsed.task).lines(parsed.every_file):
        print(line)
    return 0


def _submission(parsed: argparse.Namespace) -> int:
    from relbench_harness.contributions.submission import submit

    made = submit(parsed.results, parsed.method, parsed.to, parsed.regime, parsed.seed)
    for line in made.said():
        print(line)
    return 1 if made.refused else 0


def _card(parsed: argparse.Namespace) -> int:
    from relbench_harness.contributions.card import write_dataset

    lines = write_dataset(parsed.results, parsed.to, parsed.title or parsed.results.resolve().name)
    print(f"wrote {lines} result lines, their predictions and the card to {parsed.to}; nothing was uploaded")
    return 0


def _published(parsed: argparse.Namespace) -> int:
    from relbench_harness.contributions.published_file import import_published

    for line in import_published(parsed.file, parsed.to, parsed.source, parsed.regime):
        print(line)
    return 0
