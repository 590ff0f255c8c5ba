"""What scripts that make tables of a page share: a line of a table, and the two marks between which the tables stand."""

from __future__ import annotations

from pathlib import Path


def row(*cells: object) -> str:
    """A line of a table in Markdown."""
    return f"| {' | '.join(map(str, cells))} |"


def put_between(page: Path, begin: str, end: str, made: str) -> None:
    """Raises `SystemExit` where the page lacks a mark."""
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise SystemExit(f"{page} lacks the marks {begin} and {end}")
    page.write_text(f"{before}{begin}\n\n{made}\n\n{end}{after}", encoding="utf-8")


def between(page: Path, begin: str, end: str) -> str:
    """What stands between the marks."""
    return page.read_text(encoding="utf-8").partition(begin)[2].partition(end)[0].strip()
