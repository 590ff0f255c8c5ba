"""The command `publish`. Its packages are loaded when it acts, so that the shell starts without them."""

from __future__ import annotations

import argparse
import gc
from pathlib import Path
from typing import Any

from relbench_harness.streams import say


def add_publish(commands: argparse._SubParsersAction[Any]) -> None:
    """Registers `publish`."""
    publish = commands.add_parser("publish", help="make a static site of stored results")
    publish.add_argument("results", type=Path, help="a folder of results")
    publish.add_argument(
        "--to", type=Path, required=True, metavar="FOLDER", help="where the site goes: a new folder, or an earlier site"
    )
    publish.add_argument(
        "--published", type=Path, metavar="FOLDER",
        help="rows of the literature (default: the folder published in the results or beside them)",
    )  # fmt: skip
    publish.add_argument("--against", metavar="METHOD", help="compare with this method (default: the best of each ranking)")
    publish.set_defaults(act=_publish)


def _publish(parsed: argparse.Namespace) -> int:
    from relbench_harness.site.publish import publish

    # many result lines are many objects that stay; looking through them again and again for garbage takes a quarter of the seconds
    gc.disable()
    try:
        pages = publish(parsed.results, parsed.to, lambda error: say(str(error)), parsed.published, parsed.against)
    finally:
        gc.enable()
    print(f"wrote {pages} pages; open {parsed.to / 'index.html'}")
    return 0
