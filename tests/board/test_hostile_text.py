"""Text that means something to a medium comes out as text in each: Markdown, CSV, HTML, LaTeX, names of files."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from relbench_harness.board import render, store
from relbench_harness.board.latex import escaped as in_latex
from relbench_harness.board.leaderboard import leaderboard
from relbench_harness.protocol.result import Outcome, Result

HOSTILE = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "&lt;b&gt; &amp;", '"><b a="', "=1+1", "+cmd|' /C calc'!A0", "-2+3",
    "@SUM(A1)", "a|b|c", "[click](http://x.y)", "![x](http://x.y/z.png)", "[ref]: http://x.y", "# heading", "- item", "1. item",
    "```", "`code`", "**bold** _it_ ~~gone~~", "$x^2$", r"\input{/etc/passwd}", r"\\ & % # {}", "../../etc/passwd", "..\\..\\x",
    "'; drop table", "{{7*7}}", "<!-- c -->", "a  b", "---", "===", "> quote",
]  # fmt: skip


class Texts(HTMLParser):
    """The text of every cell and paragraph, and which tags there are."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.tags: set[str] = set()
        self.open = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        if tag in ("td", "th", "p"):
            self.open = True
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "p"):
            self.open = False

    def handle_data(self, data: str) -> None:
        if self.open:
            self.cells[-1] += data


@pytest.fixture(params=HOSTILE)
def text(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def results(result: Callable[..., Result], text: str) -> list[Result]:
    return [result(text, 0.7, machine={"cpu": text}), result("b", 0.6), result("c", None, error=text, status=text)]


def test_html(results: list[Result], text: str) -> None:
    read = Texts(render.html(leaderboard(results)))
    assert text in read.cells and f"c failed: {' '.join(text.split())}" in read.cells
    own = {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "h1",
        "div",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "p",
    }
    assert read.tags == own


def test_markdown(results: list[Result], text: str) -> None:
    rendered = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(render.markdown(leaderboard(results)))
    read, plain = Texts(rendered), " ".join(text.split())
    assert plain in read.cells and f"c failed: {plain}" in read.cells
    assert read.tags <= {"h2", "table", "thead", "tbody", "tr", "th", "td", "p"}
    alone = MarkdownIt("commonmark").enable("strikethrough").render(render.paragraph(text))
    assert Texts(alone).cells == [plain] and Texts(alone).tags == {"p"}


def test_csv(results: list[Result], text: str) -> None:
    rows = list(csv.DictReader(io.StringIO(render.csv(leaderboard(results)))))
    (named,) = [row["method"] for row in rows if row["rank"] == "1"]
    assert named.removeprefix("'") == text.removeprefix("'")
    assert not any(cell.startswith(("=", "+", "@")) for row in rows for cell in row.values())
    assert named.startswith("'") or not text.startswith("-")


def test_latex(results: list[Result], text: str) -> None:
    assert f"{in_latex(text)} & " in render.FORMATS["latex"][1](leaderboard(results))


def test_names_of_files(result: Callable[..., Result], text: str, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    store.write(Outcome(result(text, task=f"{text}/{text}"), None), folder)
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
    assert [one.method for one in store.read_results(folder)] == [text]
