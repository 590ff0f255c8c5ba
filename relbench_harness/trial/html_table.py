"""A table as plain HTML for notebooks, every value as text."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from relbench_harness.site.tables import Table


def html_table(table: Table) -> str:
    def row(tag: str, texts: Sequence[str]) -> str:
        return f"<tr>{''.join(f'<{tag}>{escape(text)}</{tag}>' for text in texts)}</tr>"

    body = "".join(row("td", [" ".join(filter(None, (c.text, c.beside))) for c in one.cells]) for one in table.rows)
    head = row("th", [column.heading for column in table.columns])
    return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"
