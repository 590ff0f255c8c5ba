"""From a results folder to the folder of a site."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

from relbench_harness.board.audits import read_reports
from relbench_harness.board.full import View, full_board
from relbench_harness.board.importance import read_importances
from relbench_harness.board.published import published_near, read_published
from relbench_harness.board.store import located_results
from relbench_harness.errors import InputError
from relbench_harness.protocol.result import Result
from relbench_harness.site.folder import check, write_site
from relbench_harness.site.rankings import Material, rankings

NEEDED = {"vl_convert": "vl-convert-python", "jinja2": "jinja2", "markupsafe": "markupsafe"}
"""Module → package of the extra `site`."""


def check_extra() -> None:
    """Raises `InputError` where a package of the extra `site` is missing."""
    missing = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise InputError(
            f"a site needs the package {missing[0]!r}; install the extra: pip install 'relbench-harness[site]'"
        )


def publish(
    folder: Path, to: Path, broken: Callable[[InputError], None], published: Path | None = None, against: str | None = None
) -> int:
    """Writes the site of the results in `folder` to the folder `to`; returns how many pages it has.

    Args:
        broken: Is called with each file that cannot be read.
        published: A folder of published rows; None for `published` in the results folder or beside it, if there is one.
        against: The method that the others are compared with; None for the best of each ranking.

    Raises:
        InputError: There is no result, `to` holds something else than a site, or the extra `site` is not installed.
    """
    check_extra()
    check(to)
    files: dict[int, Path] = {}
    results: list[Result] = []
    if not folder.exists():
        raise InputError(f"no results folder {folder}")
    for path, result in located_results(folder, broken):
        files[id(result)] = path
        results.append(result)
    if not results:
        raise InputError(f"no results in {folder}")
    reports, importances = read_reports(folder, broken), read_importances(folder, broken)
    home = folder if folder.is_dir() else folder.parent
    rows = published_near(folder, folder.parent) if published is None else read_published(published)
    board = full_board(home, results, reports, rows, View(against))
    material = Material(board, rankings(board, results, rows), results, files, reports, importances)
    from relbench_harness.site.pages import site_files

    made = dict(site_files(material, _title(folder)))
    write_site(to, made)
    return sum(name.endswith(".html") for name in made)


def _title(folder: Path) -> str:
    name = folder.resolve().name
    return name if folder.is_dir() and name != "results" else "RelBench Harness"
