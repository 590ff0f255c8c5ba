"""The page of a published board: `README.md` of its folder, made from result lines alone, so that a test can make it again.

Invariant: everything on it follows from the results, the published rows and the manifests; no clock and no machine is asked. Published
rows stand in tables of their own, marked as not rerun.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from relbench_harness.board import audits, render
from relbench_harness.board.full import View, full_board
from relbench_harness.board.leaderboard import GROUP
from relbench_harness.board.published import PublishedRow, published_near
from relbench_harness.board.score_table import score_sheets
from relbench_harness.board.sheets import overall_sheets, task_sheet
from relbench_harness.data.names import split_address
from relbench_harness.data.provenance import provenance
from relbench_harness.data.writing import write_whole
from relbench_harness.errors import InputError
from relbench_harness.home import home
from relbench_harness.protocol.result import Result

GUIDE = "../../docs/leaderboards.md"


def write_board(
    folder: Path, results: Sequence[Result], methods: Iterable[str], missing: Callable[[str], None] = lambda _: None
) -> list[Path]:
    """Writes `README.md`, `leaderboard.csv` and `leaderboard.svg` to the folder of a board.

    Args:
        methods: Every method that ships, to say which are missing.
        missing: Is called with a sentence for each reason why tasks have no intervals.

    Raises:
        InputError: A published row cannot be read.
    """
    published = published_rows(folder)
    board = published_board(folder, results, missing)
    made = {
        folder / "README.md": page(folder.name, board, results, published, methods),
        folder / "leaderboard.csv": render.csv(board),
        folder / "leaderboard.svg": render.svg(board),
    }
    for path, text in made.items():
        write_whole(path, text)
    return list(made)


def published_rows(folder: Path) -> list[PublishedRow]:
    """The published rows that lie beside the folder of a board; none where there are none."""
    return published_near(folder.resolve().parent)


def published_board(
    folder: Path, results: Sequence[Result], missing: Callable[[str], None] = lambda _: None
) -> pd.DataFrame:
    """The leaderboard of the folder of a published board; an audit that cannot be read is an error."""

    def refuse(error: InputError) -> None:
        raise error

    reports, view = audits.read_reports(folder, refuse), View(missing=missing)
    return full_board(folder, results, reports, published_rows(folder), view)


def page(
    name: str,
    board: pd.DataFrame,
    results: Sequence[Result],
    published: Sequence[PublishedRow],
    methods: Iterable[str],
) -> str:
    """The text of the page."""
    lines = [f"# {render.escaped(name)}", ""]
    lines += _made(name, board, results)
    lines += ["## What is left out", "", *_missing(board, results, methods), ""]
    for sheet in (*overall_sheets(board), *score_sheets(board)):
        lines += [f"## {render.escaped(sheet.title)}", "", *render.sheet_lines(sheet)]
    for _, group in board.groupby(GROUP, sort=True):
        sheet = task_sheet(group, False)
        lines += [f"## {render.escaped(sheet.title)}", "", *render.sheet_lines(sheet)]
        first = group.iloc[0]
        lines += _published([row for row in published if (row.task, row.regime) == (first["task"], first["regime"])])
    return "\n".join(lines).rstrip("\n") + "\n"


def _made(name: str, board: pd.DataFrame, results: Sequence[Result]) -> Iterator[str]:
    """How the board was made, and from which data."""
    addresses = sorted({split_address(result.task)[0] for result in results})
    for address in addresses:
        if about := provenance(address).description:
            yield from (render.paragraph(about), "")
    yield f"This page is made from the result lines of this folder by `relbench-harness board results/{name}`; a test makes it"
    yield f"again. [leaderboards.md]({GUIDE}) explains the columns. [leaderboard.csv](leaderboard.csv) has every column, unrounded."
    yield from ("", "## How it was made", "")
    yield from render.table_lines(("what", "detail"), _facts(name, addresses, board, results))
    yield ""


def _facts(
    name: str, addresses: Sequence[str], board: pd.DataFrame, results: Sequence[Result]
) -> Iterator[tuple[str, str]]:
    if (home("configs") / "study" / f"{name}.yaml").is_file():
        yield "command", f"relbench-harness run -m study={name}"
    days = sorted({result.started[:10] for result in results if result.started})
    yield "date", _span(days)
    yield "machine", _joined(_machine(result.machine) for result in results)
    seconds = {result.budget.get("seconds") for result in results}
    yield "budget", _joined("without a limit on time" if one is None else f"{one:g} seconds a run" for one in seconds)
    yield "threads", _joined(str(result.budget.get("threads")) for result in results)
    yield "isolation", _joined(result.isolation for result in results)
    yield "runs", f"{len(results)}, of which {sum(not result.ok for result in results)} failed"
    yield "seeds", _joined(str(result.seed) for result in results)
    yield "audited rows", f"{int((board['audited'] == 'yes').sum())} of {len(board)}"
    yield "commit", _joined(result.commit[:12] for result in results)
    for address in addresses:
        about = provenance(address)
        versions = _joined(r.dataset_fingerprint[:8] for r in results if split_address(r.task)[0] == address)
        yield f"data of {address}", f"{about.source or 'source not stated'}; version {versions or 'unknown'}"
        yield f"licence of {address}", about.licence or "not stated"


def _machine(machine: Mapping[str, object]) -> str:
    cores, memory = machine.get("cores"), machine.get("memory_mb")
    parts = [str(machine.get("cpu") or ""), str(machine.get("gpu") or "")]
    parts.append(f"{cores} core{'' if cores == 1 else 's'} for a run" if cores else "")
    parts.append(f"{memory / 1024:.0f} GiB" if isinstance(memory, int | float) else "")
    return ", ".join(filter(None, parts))


def _missing(board: pd.DataFrame, results: Sequence[Result], methods: Iterable[str]) -> Iterator[str]:
    """What a reader may look for here in vain."""
    there = {result.method for result in results}
    tasks = set(board["task"])
    gone = [f"{a}/{t}" for a in sorted({split_address(task)[0] for task in tasks}) for t in provenance(a).tasks]
    yield f"- methods: {render.escaped(_joined(set(methods) - there) or 'none')}"
    yield f"- tasks of the dataset: {render.escaped(_joined(set(gone) - tasks) or 'none')}"
    bare = board["low"].isna() if "low" in board else pd.Series(True, board.index)
    yield f"- rows without an interval, since their predictions are not stored or the labels were not at hand: {int(bare.sum())} of {len(board)}"


def _published(rows: Sequence[PublishedRow]) -> Iterator[str]:
    if not rows:
        return
    yield "Published for this task and regime, **not rerun here**: other machines, other budgets, and often settings chosen otherwise."
    yield ""
    cells = sorted((row.metric, row.method, f"{row.value:.4f}", row.source) for row in rows)
    yield from render.table_lines(("method", "metric", "value", "source"), ((m, k, v, s) for k, m, v, s in cells))
    yield ""


def _joined(values: Iterable[str]) -> str:
    return ", ".join(sorted(set(values) - {""}, key=lambda text: (len(text), text) if text.isdigit() else (0, text)))


def _span(days: Sequence[str]) -> str:
    return "not recorded" if not days else days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
