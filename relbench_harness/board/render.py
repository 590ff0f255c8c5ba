"""A leaderboard as people read it: in the terminal, as Markdown, as CSV, as a picture."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from relbench_harness.board.causes import CHANCE, by_cause
from relbench_harness.board.leaderboard import GROUP, UNKNOWN
from relbench_harness.board.overall import overall
from relbench_harness.data.writing import write_whole

SPARE = ("warm", "MB", "fitted on", "audited", "val", "× anchor", "tasks", "lines")
"""Columns that a narrow terminal goes without, first to go first; Markdown and CSV always have all."""


SHARED = "\N{DAGGER}"
"""The sign beside seconds that were measured on a shared machine."""
OF_SHARED = f"{SHARED} measured while others used the machine, or beside other runs of the sweep: such seconds say less."


@dataclass(frozen=True)
class Sheet:
    """A table ready to be shown: its title, headings, cells, which rows are to be toned down, and notes below."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    faint: tuple[bool, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", _printable(self.title))
        object.__setattr__(self, "rows", tuple(tuple(map(_printable, row)) for row in self.rows))
        object.__setattr__(self, "notes", tuple(map(_printable, self.notes)))


def _printable(text: str) -> str:
    """`text` without signs that no medium shows: a method's error may hold a terminal's commands or half a character."""
    return "".join(sign if sign.isprintable() else " " if sign.isspace() else "\ufffd" for sign in text)


def sheets(board: pd.DataFrame) -> list[Sheet]:
    """One sheet per task and regime, then one per regime across tasks."""
    several = board.groupby(["task", "regime"])["data"].nunique().max() if len(board) else 1
    tasks = [_task_sheet(group, several > 1) for _, group in board.groupby(GROUP, sort=True)]
    ranking = overall(board[board["task"].groupby(board["regime"]).transform("nunique") > 1])
    across = [_overall_sheet(str(regime), group) for regime, group in ranking.groupby("regime", sort=True)]
    return tasks + across + _cause_sheets(board)


def _cause_sheets(board: pd.DataFrame) -> list[Sheet]:
    """How much of each cause each method finds, where the board has worlds with one cause at a time."""
    table = by_cause(board)
    if table.empty:
        return []
    rows = tuple(
        (str(method), *map(_percent, shares)) for method, shares in zip(table.index, table.to_numpy(), strict=True)
    )
    note = (
        "Share of the way from the best constant answer to the true answers, each cause switched on alone. Last row: the "
        "standard deviation of the true answers' own score over labels drawn anew."
    )
    faint = tuple(method == CHANCE for method in table.index)
    return [Sheet("Which causes a method finds", ("method", *map(str, table.columns)), rows, faint, (note,))]


def _task_sheet(group: pd.DataFrame, name_data: bool) -> Sheet:
    first = group.iloc[0]
    arrow = "higher is better" if first["higher_is_better"] else "lower is better"
    unknown = first["data"] == UNKNOWN
    data = f", {UNKNOWN}" if unknown else f", data {first['data']}" if name_data else ""
    known = "way" in group and bool(group["way"].notna().any())
    audits = "audited" in group and bool((group["audited"] != "no").any())
    anchored = bool(group["seconds_vs_anchor"].notna().any())
    rows = tuple(
        (
            str(row["rank"]),
            str(row["method"]),
            _spread(row["test"], row["test_sd"]),
            *((_percent(row["way"]),) if known else ()),
            _spread(row["val"], row["val_sd"]),
            _seconds(row["seconds"], row["shared"] == "yes"),
            *((_times(row["seconds_vs_anchor"]),) if anchored else ()),
            _seconds(row["seconds_warm"], row["shared"] == "yes"),
            _whole(row["peak_memory_mb"]),
            f"{_whole(row['lines_task'])} + {_whole(row['lines_method'])}",
            f"{row['scored']}/{row['runs']}",
            str(row["fitted_on"]),
            *((str(row["audited"]),) if audits else ()),
            str(row["status"]),
        )
        for row in group.to_dict("records")
    )
    return Sheet(
        f"{first['task']}, {first['regime']}{data}: {first['metric']} ({arrow})",
        (
            *("#", "method", "test", *(("of the way",) if known else ())),
            *("val", "seconds", *(("× anchor",) if anchored else ())),
            *("warm", "MB", "lines", "runs", "fitted on"),
            *(("audited",) if audits else ()),
            "status",
        ),
        ((_optimal(first, audits, anchored), *rows) if known else rows),
        (*((False,) if known else ()), *(group["status"] != "ok")),
        tuple(_task_notes(group)),
    )


def _optimal(row: pd.Series, audits: bool, anchored: bool) -> tuple[str, ...]:
    """The row of the true answers, which no method can beat but by luck."""
    begins = ("–", "Bayes-optimal", _spread(row["optimal"], math.nan), "100%")
    return (*begins, *("–",) * (6 + anchored), "known", *("–",) * (1 + audits))


def _task_notes(group: pd.DataFrame) -> Iterator[str]:
    machines = sorted(set(group["machine"]) - {""})
    on = f" Run on {' and '.join(machines)}." if machines else ""
    shared = _whole(group["lines_harness"].max())
    yield f"lines: for this task + of the method; the harness that all share has {shared}.{on}"
    if group["seconds_vs_anchor"].notna().any():
        yield f"× anchor: seconds in multiples of those of {group['anchor'].iloc[0]} on the same machine."
    if (group["shared"] == "yes").any():
        yield OF_SHARED
    if "way" in group and group["way"].notna().any():
        first = group.iloc[0]
        yield (
            f"of the way: from the best constant answer ({first['constant']:.4f}) to the true answers, which score "
            f"{_spread(first['stated'], first['stated_sd'])} on labels drawn from the truth."
        )
    for row in group.to_dict("records"):
        if row.get("audited") == "failed":
            yield f"{row['method']} failed its audit, so its scores may rest on what it must not see."
        if row.get("fallback"):
            yield f"{row['method']} is worse on validation than a trivial method and gave way to {row['fallback']}."
        if row["error"]:
            yield f"{row['method']} failed: {shorten(str(row['error']), 200, placeholder=' …')}"


def _overall_sheet(regime: str, group: pd.DataFrame) -> Sheet:
    rows = tuple(
        (
            str(row["rank"]),
            str(row["method"]),
            f"{row['mean_rank']:.2f}",
            _percent(row["win_rate"]),
            _elo(row["elo"], row["elo_low"], row["elo_high"]),
            _seconds(row["seconds"], row["shared"]),
            str(row["tasks"]),
            _percent(row["coverage"]),
        )
        for row in group.to_dict("records")
    )
    apart = group["critical_difference"].iloc[0]
    tasks = int(group["tasks"].max())
    return Sheet(
        f"All tasks, {regime}",
        ("#", "method", "mean rank", "wins", "Elo", "seconds", "tasks", "coverage"),
        rows,
        tuple(group["coverage"] < 1),
        (
            *(
                (f"Mean ranks over {tasks} tasks differ at the 5 % level when {apart:.2f} apart (Nemenyi).",)
                * math.isfinite(apart)
            ),
            *((OF_SHARED,) * bool(group["shared"].any())),
        ),
    )


# -- one cell -------------------------------------------------------------------------------------------------------------


def _spread(mean: float, sd: float) -> str:
    if math.isnan(mean):
        return "–"
    return f"{mean:.4f}" + ("" if math.isnan(sd) else f" ± {sd:.4f}")


def _seconds(value: float, shared: bool) -> str:
    return "–" if math.isnan(value) else f"{value:.1f}" + (SHARED if shared else "")


def _times(ratio: float) -> str:
    return "–" if math.isnan(ratio) else f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


def _whole(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:,.0f}"


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{round(share, 2) + 0.0:.0%}"


def _elo(rating: float, low: float, high: float) -> str:
    if math.isnan(rating):
        return "–"
    ends = ("−∞" if low == -math.inf else f"{low:.0f}", "∞" if high == math.inf else f"{high:.0f}")
    return f"{rating:.0f} [{ends[0]}, {ends[1]}]"


# -- the media ------------------------------------------------------------------------------------------------------------


def show(board: pd.DataFrame, console: Console) -> None:
    """Prints the leaderboard; what is no terminal gets lines as long as they need to be."""
    for sheet in sheets(board):
        console.print(_fitting(sheet, console), crop=False)
        for note in sheet.notes:
            console.print(Text(note, style="dim"), soft_wrap=True)
        console.print()


def _fitting(sheet: Sheet, console: Console) -> Table:
    """The sheet as a table as wide as it needs to be; on a narrow terminal without some of its spare columns."""
    left_out: set[str] = set()
    endless = console.options.update(max_width=10_000)
    for spare in (*SPARE, None):
        table = _rich(sheet, left_out)
        table.width = Measurement.get(console, endless, table).maximum
        if table.width <= console.width or not console.is_terminal or spare is None:
            break
        left_out.add(spare)
    return table


def _rich(sheet: Sheet, left_out: set[str]) -> Table:
    shown = [i for i, heading in enumerate(sheet.headings) if heading not in left_out]
    table = Table(title=Text(sheet.title, style="bold"), title_justify="left", header_style="bold", box=SIMPLE_HEAD)
    for i in shown:
        words = sheet.headings[i] in ("method", "fitted on", "audited", "status")
        table.add_column(sheet.headings[i], justify="left" if words else "right")
    for cells, faint in zip(sheet.rows, sheet.faint, strict=True):
        table.add_row(*(Text(cells[i]) for i in shown), style="dim" if faint else "bold" if cells[0] == "1" else "")
    return table


def markdown(board: pd.DataFrame) -> str:
    """The leaderboard as Markdown tables."""
    return "\n".join(line for sheet in sheets(board) for line in _markdown(sheet))


def _markdown(sheet: Sheet) -> Iterator[str]:
    yield from (f"## {_escaped(sheet.title)}", "")
    yield _markdown_row(sheet.headings)
    yield _markdown_row(tuple("---" for _ in sheet.headings))
    yield from (_markdown_row(row) for row in sheet.rows)
    yield from ("", *(line for note in sheet.notes for line in (_escaped(note), "")))


def _markdown_row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(map(_escaped, cells))} |"


def _escaped(text: str) -> str:
    return re.sub(r"([\\|`*_<>])", r"\\\1", " ".join(text.split()))


def csv(board: pd.DataFrame) -> str:
    """Every column of the leaderboard, unrounded."""
    text: str = board.to_csv(index=False, lineterminator="\n")
    # half a character, as in the name of a file that is no text, has no place in UTF-8
    return text.encode("utf-8", "replace").decode("utf-8")


def svg(board: pd.DataFrame, width: int = 120) -> str:
    """The leaderboard as the terminal shows it, as a picture that fetches nothing."""
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
    show(board, console)
    picture = console.export_svg(title="relbench-harness rank", unique_id="leaderboard")
    return re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.S) + "\n"


def write(board: pd.DataFrame, folder: Path) -> tuple[Path, Path]:
    """Writes `leaderboard.md` and `leaderboard.csv`, which are made anew from the results each time."""
    made = folder / "leaderboard.md", folder / "leaderboard.csv"
    for path, text in zip(made, (markdown(board), csv(board)), strict=True):
        write_whole(path, text)
    return made
