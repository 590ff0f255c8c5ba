"""The shell's commands for authors of datasets, tasks and methods.

Bad input raises `InputError`, which the shell shows with exit code 2; what a check finds is exit code 1.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relbench_harness.errors import InputError
from relbench_harness.progress import work

if TYPE_CHECKING:
    from relbench_harness.authoring.wanted import Wanted


def add_commands(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Register the authoring commands; each sets `act`, a function of the parsed arguments that returns an exit code."""
    _dataset(subparsers)
    _task(subparsers)
    plugin = subparsers.add_parser("check-plugin", help="test an installed plugin's datasets and methods")
    plugin.add_argument("plugin", metavar="NAME")
    plugin.add_argument("names", nargs="*", metavar="DATASET|METHOD", help="only these")
    plugin.set_defaults(act=_check_plugin)


def _dataset(subparsers: argparse._SubParsersAction[Any]) -> None:
    dataset = subparsers.add_parser("dataset", help="make or check a dataset")
    commands = dataset.add_subparsers(dest="dataset_command", required=True)
    new = commands.add_parser("new", help="import a dataset from a database or from files")
    new.add_argument("name", metavar="NAME")
    new.add_argument("--from", dest="source", required=True, metavar="URI", help=SOURCES)
    new.add_argument("--out", type=Path, metavar="FOLDER", help="where to put it (default: the first folder of datasets)")
    new.add_argument("--yes", action="store_true", help="take proposals that are not sure, too")
    new.add_argument("--again", action="store_true", help="import anew by the keys and times of the edited manifest")
    add_import_options(new)
    new.set_defaults(act=_new_dataset)

    check = commands.add_parser("check", help="look for errors and leaks in a dataset and its tasks")
    check.add_argument("name", metavar="NAME")
    check.add_argument("--tasks", default="", metavar="A,B", help="only these tasks")
    check.add_argument("--strict", action="store_true", help="fail on leaks, too, not on errors alone")
    check.add_argument("--page", type=Path, metavar="FILE", help="the report as a page (default: checks/NAME.html)")
    check.add_argument("--open", action="store_true", help="open the page in a browser")
    check.set_defaults(act=_check_dataset)
    keys = commands.add_parser("keys", help="write predictions with the keys of the source in place of row numbers")
    keys.add_argument("task", metavar="DATASET/TASK")
    keys.add_argument("predictions", type=Path, metavar="FILE", help="predictions that a run stored")
    keys.add_argument("--out", type=Path, required=True, metavar="FILE", help="Parquet, or CSV by its name")
    keys.set_defaults(act=_original_keys)

    export = commands.add_parser("export", help="write a dataset as a folder that the relbench package opens")
    export.add_argument("name", metavar="NAME", help="a name or an address with parameters, such as rel-shop@scale=1")
    export.add_argument("folder", type=Path, metavar="FOLDER", help="a new folder")
    export.set_defaults(act=_export_dataset)


def add_import_options(parser: argparse.ArgumentParser) -> None:
    """Adds what an import takes beyond its source; `wanted_of` reads it."""
    several: dict[str, Any] = {"action": "append", "default": []}
    parser.add_argument("--only", "--tables", metavar="A,B", help="only these tables; views, too", **several)
    parser.add_argument("--exclude", metavar="A,B", help="all tables but these", **several)
    parser.add_argument(
        "--time", metavar="TABLE=COLUMN", **several,
        help="a table's time; none: it has none; COLUMN:epoch_s (epoch_ms, epoch_us, epoch_ns) or COLUMN:%%d/%%m/%%Y: read it so",
    )  # fmt: skip
    parser.add_argument(
        "--entity", metavar="NAME=TABLE.COLUMN,…", **several, help="a table of the different values of these columns"
    )
    parser.add_argument(
        "--late", action="append", default=[], metavar="TABLE.COLUMN[:COLUMN,…]",
        help="a date known later, and what is filled with it, as a table of its own; none: move nothing else",
    )  # fmt: skip
    parser.add_argument("--keep", metavar="TABLE.COLUMN,…", help="take these though they are named like secrets", **several)
    parser.add_argument("--timezone", metavar="ZONE", help="the zone of times that carry none (default: UTC)")


SOURCES = "postgresql://…, mysql://…, mariadb://…, sqlite:///file, duckdb:///file, a folder of CSV, Parquet or Delta tables"


def _export_dataset(parsed: argparse.Namespace) -> int:
    from relbench_harness.data.dataset import open_dataset
    from relbench_harness.data.export import export

    print(export(open_dataset(parsed.name), parsed.folder))
    return 0


def datasets_folder() -> Path:
    """Where new datasets go: the first folder of $RELBENCH_HARNESS_DATASETS, else datasets/ here."""
    from relbench_harness.data.dataset import PATH_VARIABLE

    named = [part for part in os.environ.get(PATH_VARIABLE, "").split(os.pathsep) if part]
    return Path(named[0]).expanduser() if named else Path("datasets")


def wanted_of(arguments: argparse.Namespace) -> Wanted:
    """What the options of an import say. Raises `InputError` for one that cannot be read."""
    from relbench_harness.authoring.wanted import Wanted

    times = {table: None if c == "none" else c for table, c in _pairs("--time", "TABLE=COLUMN", arguments.time)}
    entities = {name: _listed([of]) for name, of in _pairs("--entity", "NAME=TABLE.COLUMN,…", arguments.entity)}
    late = {part.partition(":")[0]: _listed([part.partition(":")[2]]) if ":" in part else None for part in arguments.late}
    none_late = "none" in late
    late.pop("none", None)
    return Wanted(
        getattr(arguments, "yes", False), getattr(arguments, "again", False), _listed(arguments.only), times, arguments.timezone,
        exclude=_listed(arguments.exclude), entities=entities, keep=_listed(arguments.keep),
        late=late, none_late=none_late,
    )  # fmt: skip


def _listed(parts: list[str]) -> tuple[str, ...]:
    return tuple(name for part in parts for piece in part.split(",") if (name := piece.strip()))


def _pairs(option: str, form: str, parts: list[str]) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    for part in parts:
        name, _, value = (piece.strip() for piece in part.partition("="))
        if not name or not value:
            raise InputError(f"{option} {part!r} does not read {form}")
        if name in found:
            raise InputError(f"{option} names {name!r} twice: {found[name]} and {value}")
        found[name] = value
    return list(found.items())


def _new_dataset(arguments: argparse.Namespace) -> int:
    from relbench_harness.authoring.new_dataset import new_dataset

    # a server that ends the process leaves it time to remove what is half written
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    wanted = wanted_of(arguments)
    out = arguments.out or datasets_folder()
    with work("rows") as rows:
        imported = new_dataset(
            arguments.name, arguments.source, out, wanted, lambda table, count: rows.at(count, f"of {table}")
        )
    for name, table in imported.written.items():
        print(f"{name}: {table.rows:,} rows")
    for note in imported.notes:
        print(f"note: {note}")
    for hint in imported.hints:
        print(f"hint: {hint}")
    print(f"validation from {imported.cuts.val}, test from {imported.cuts.test}: {imported.cuts.evidence}")
    for proposal in imported.open:
        print(f"undecided: {proposal.said}")
    if imported.open:
        print("write what holds into the manifest and run this command with --again; --yes takes what is likely of it")
    print(f"wrote {imported.folder}")
    return 0


def _check_dataset(arguments: argparse.Namespace) -> int:
    from relbench_harness.authoring.check import check_dataset
    from relbench_harness.authoring.check_page import page
    from relbench_harness.authoring.check_report import lines
    from relbench_harness.authoring.manifest_text import write_whole

    report = check_dataset(arguments.name, tuple(filter(None, arguments.tasks.split(","))))
    for line in lines(report):
        print(line)
    path = arguments.page or Path("checks") / f"{Path(arguments.name).name}.html"
    write_whole(path, page(report))
    print(f"wrote {path}")
    if arguments.open:
        webbrowser.open(path.resolve().as_uri())
    return 1 if report.open(arguments.strict) else 0


def _original_keys(arguments: argparse.Namespace) -> int:
    from relbench_harness.authoring.original_keys import read_predictions, with_original_keys, write_predictions
    from relbench_harness.data.dataset import open_task

    dataset, task = open_task(arguments.task)
    write_predictions(with_original_keys(dataset, task, read_predictions(arguments.predictions)), arguments.out)
    print(f"wrote {arguments.out}")
    return 0


def _check_plugin(arguments: argparse.Namespace) -> int:
    from relbench_harness.authoring.check_plugin import check_plugin

    code = 0
    for fault, line in check_plugin(arguments.plugin, arguments.names):
        print(line, flush=True)
        code = max(code, int(fault))
    return code


def _task(subparsers: argparse._SubParsersAction[Any]) -> None:
    task = subparsers.add_parser("task", help="make a task, or list those that a dataset offers").add_subparsers(
        dest="task_command", required=True
    )
    new = task.add_parser("new", help="write a task from a predictive query")
    new.add_argument("task", metavar="DATASET/TASK")
    new.add_argument("query", metavar="QUERY", help="PREDICT … FOR EACH table.key [WHERE …]")
    new.add_argument("--eval-timestamps", type=int, default=1, metavar="N", help="ask at N times, a horizon apart")
    new.add_argument("--label-delay", metavar="SPAN", help="labels are known so long after their window, such as '30 days'")
    new.add_argument("--force", action="store_true", help="replace the task of that name")
    new.set_defaults(act=_new_task)
    suggest = task.add_parser("suggest", help="list the predictive queries that a dataset offers, the most useful first")
    suggest.add_argument("dataset", metavar="NAME")
    suggest.add_argument("--limit", type=int, default=10, metavar="N", help="at most so many (default: 10)")
    suggest.add_argument("--format", choices=("md", "csv", "json"), default="md", help="how to write them (default: md)")
    suggest.set_defaults(act=_suggest_tasks)


def _suggest_tasks(arguments: argparse.Namespace) -> int:
    from relbench_harness.authoring.suggest_report import written
    from relbench_harness.authoring.suggestions import suggestions
    from relbench_harness.data.dataset import open_dataset

    if arguments.limit < 1:
        raise InputError(f"--limit is {arguments.limit}; at least 1 is needed")
    dataset = open_dataset(arguments.dataset)
    found = suggestions(dataset, arguments.limit)
    if not found:
        timed = [name for name, table in dataset.database.items() if table.times is not None]
        why = "no query about its rows has enough examples of several labels" if timed else "no table of it has a time"
        raise InputError(f"dataset {dataset.name} offers no predictive query: {why}")
    print(written(found, arguments.format), end="")
    return 0


def _new_task(arguments: argparse.Namespace) -> int:
    from relbench_harness.authoring.new_task import new_task

    delay = arguments.label_delay
    for line in new_task(arguments.task, arguments.query, arguments.eval_timestamps, arguments.force, delay):
        print(line, flush=True)
    return 0
