"""The report of a check as one HTML page that needs nothing else: figures, findings and the schema."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from relbench_harness.authoring.check_report import Report
from relbench_harness.authoring.findings import KINDS, Finding

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, 'DejaVu Sans', sans-serif; color: #1f2933; background: #f6f7f9; margin: 0; }
main { max-width: 1180px; margin: 0 auto; padding: 28px 24px 60px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 34px 0 10px; }
p.about { margin: 0 0 4px; color: #52606d; max-width: 80ch; }
.wide { overflow-x: auto; background: #fff; border: 1px solid #dde2e8; border-radius: 6px; }
table { border-collapse: collapse; width: 100%; } th, td { padding: 7px 12px; text-align: left; vertical-align: top; }
th { font-weight: 600; color: #52606d; border-bottom: 1px solid #dde2e8; white-space: nowrap; }
tr + tr td { border-top: 1px solid #eef1f4; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.tag { display: inline-block; border-radius: 4px; padding: 0 8px; font-size: 13px; white-space: nowrap; }
.error { background: #fbe3e4; color: #912018; } .leak { background: #fdf0d5; color: #7a4b00; }
.known { background: #e6eaef; color: #52606d; } .ok { background: #e0f2e4; color: #1b5e2b; }
.where { font-family: ui-monospace, 'DejaVu Sans Mono', monospace; font-size: 13px; }
.why { color: #52606d; } svg { display: block; max-width: none; }
"""


def page(report: Report) -> str:
    """The whole page as text."""
    body = [
        f"<h1>{escape(report.name)}</h1>",
        f'<p class="about">{escape(report.description)}</p>',
        f'<p class="about">Validation from {escape(report.cuts[0])}, test from {escape(report.cuts[1])} (UTC).</p>',
        "<h2>Findings</h2>",
        _findings(report.findings),
        "<h2>Tables</h2>",
        _table(
            ("Table", "Rows", "Columns", "First row", "Last row"),
            ((t.name, f"{t.rows:,}", str(t.columns), t.first, t.last) for t in report.tables),
            numbers=(1, 2),
        ),
        "<h2>Tasks</h2>",
        _table(
            ("Task", "Type", "Horizon", "Train", "Val", "Test", "Entities", "Test seen in train", "Base rate (train · test)"),
            (
                (t.name, t.type.replace("_", " "), t.horizon, *(f"{t.rows[s]:,}" for s in ("train", "val", "test")),
                 f"{t.entities:,}", f"{t.overlap:.1%}", f"{t.rates['train']} · {t.rates['test']}")
                for t in report.tasks
            ),
            numbers=(3, 4, 5, 6, 7),
        ),
        *(f'<p class="about">{escape(t.name)}: {escape(shift)}.</p>' for t in report.tasks for shift in t.shifts),
        "<h2>Schema</h2>",
        f'<div class="wide">{report.diagram}</div>' if report.diagram else "<p>The tables cannot be read.</p>",
    ]  # fmt: skip
    title = f"{escape(report.name)}: dataset check"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    return f"<!doctype html>\n<html lang=en><head>{head}<style>{_STYLE}</style></head>\n<body><main>{''.join(body)}</main></body></html>\n"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]], numbers: tuple[int, ...] = ()) -> str:
    def cell(tag: str, index: int, value: str) -> str:
        return f"<{tag}{' class=n' if index in numbers else ''}>{escape(value)}</{tag}>"

    head = "".join(cell("th", i, h) for i, h in enumerate(heads))
    body = "".join("<tr>" + "".join(cell("td", i, v) for i, v in enumerate(row)) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _findings(findings: list[Finding]) -> str:
    if not findings:
        return '<p><span class="tag ok">nothing found</span></p>'
    rows = []
    for finding in sorted(findings, key=lambda f: (f.known is not None, f.level)):
        style = "known" if finding.known is not None else finding.level
        label = f"known {finding.level}" if finding.known is not None else finding.level
        known = f'<div class="why">Known: {escape(finding.known)}</div>' if finding.known is not None else ""
        rows.append(
            f'<tr><td><span class="tag {style}">{label}</span></td><td class="where">{escape(finding.where)}</td>'
            f'<td title="{escape(KINDS[finding.kind][1])}"><b>{finding.kind}</b>: {escape(finding.what)}{known}</td></tr>'
        )
    return f'<div class="wide"><table><tr><th></th><th>Where</th><th>What</th></tr>{"".join(rows)}</table></div>'
