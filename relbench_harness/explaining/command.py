"""The command `explain`: what a method looks at on a task, as a page."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from relbench_harness.errors import InputError
from relbench_harness.streams import show

LEVELS = ("model", "rows", "sql")


def add_explain(commands: Any) -> None:
    """Adds the command to the shell."""
    explain = commands.add_parser(
        "explain",
        help="say on a page what a method looks at: tables, columns, and the rows that moved single predictions",
        usage="relbench-harness explain (task=DATASET/TASK method=NAME [KEY=VALUE …] | --model FOLDER) (--out PAGE.html | --store RESULTS) [options]",
        description="Fits the method as run does, or takes a kept model, and explains its answers to validation examples. Takes the keys of run.",
    )
    explain.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="as run takes them, before the options")
    explain.add_argument("--model", type=Path, metavar="FOLDER", help="a model that run … save=FOLDER has kept")
    explain.add_argument("--out", type=Path, metavar="PAGE.html", help="the page to write")
    explain.add_argument(
        "--store", type=Path, metavar="RESULTS",
        help="a results folder beside whose results the importance of tables and columns is kept, for the pages that publish makes",
    )  # fmt: skip
    explain.add_argument(
        "--level", choices=LEVELS, help="only the model, only single predictions, or only the answers as SQL (default: all)"
    )
    explain.add_argument(
        "--example",
        action="append",
        default=[],
        metavar="KEY@TIME",
        help="a prediction to explain, by the source's key; may be repeated",
    )
    explain.add_argument(
        "--examples", type=int, default=3, metavar="N",
        help="without --example: of N validation predictions from the highest to the lowest (default: 3)",
    )  # fmt: skip
    explain.set_defaults(act=_explain)


def _explain(parsed: argparse.Namespace) -> int:
    if (parsed.model is None) == (not parsed.overrides):
        raise InputError("explain takes either task=DATASET/TASK and method=NAME, or --model FOLDER")
    if parsed.out is None and parsed.store is None:
        raise InputError(
            "explain writes a page, --out PAGE.html, or keeps importance beside results, --store RESULTS; name one"
        )
    if parsed.store is not None and not parsed.store.is_dir():
        raise InputError(f"--store {parsed.store} is no results folder")
    if parsed.store is not None and parsed.level in ("rows", "sql"):
        raise InputError(f"--store keeps importance, which --level {parsed.level} leaves out; drop one of the two")
    if parsed.out is not None and (parsed.out.is_dir() or not parsed.out.parent.is_dir()):
        raise InputError(f"--out {parsed.out} is no file in a folder that is there; name one such as page.html")
    if parsed.level in ("model", "sql") and parsed.example:
        raise InputError(f"--example names a prediction, which --level {parsed.level} leaves out; drop one of the two")
    from relbench_harness.site.publish import check_extra

    check_extra()
    from relbench_harness.explaining.fitted import fitted_by, fitted_in
    from relbench_harness.explaining.found_out import found_out
    from relbench_harness.explaining.page import write_page

    if parsed.model is None:
        fitted = fitted_by(parsed.overrides)
    else:
        from relbench_harness.models.model import load_model

        fitted = fitted_in(load_model(parsed.model))
    material = found_out(fitted, parsed.level, parsed.example, parsed.examples)
    written = [] if parsed.out is None else [write_page(material, parsed.out)]
    if parsed.store is not None:
        from relbench_harness.board.importance import write_importance
        from relbench_harness.explaining.stored import importance_of

        written.append(write_importance(importance_of(material, fitted.stages.regime), parsed.store))
    for one in material.doubts:
        show(f"- {one.replace('`', '')}")
    show(f"explained {fitted.name} on {fitted.task}; wrote {' and '.join(map(str, written))}")
    return 0
