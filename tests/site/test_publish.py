"""A site holds what the results hold, as text, in the same bytes every time, and says what is missing."""

from __future__ import annotations

import math
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from site_results import CHURN, EVIL, LONG, made

from relbench_harness.board.leaderboard import leaderboard
from relbench_harness.board.plain_text import printable
from relbench_harness.board.score_table import score_tables
from relbench_harness.board.store import read_results
from relbench_harness.cli import main
from relbench_harness.site import publish as publishing
from relbench_harness.site.page_names import page_name

OURS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "link",
        "script",
        "body",
        "a",
        "header",
        "nav",
        "main",
        "footer",
        "p",
        "code",
        "h1",
        "h2",
    ),
    *(
        "h3",
        "h4",
        "form",
        "label",
        "input",
        "select",
        "option",
        "button",
        "output",
        "section",
        "div",
        "table",
        "caption",
        "thead",
    ),
    *(
        "tbody",
        "tr",
        "th",
        "td",
        "small",
        "strong",
        "span",
        "details",
        "summary",
        "figure",
        "figcaption",
        "ul",
        "li",
        "dl",
        "dt",
    ),
    *("dd", "pre", "var", "svg", "g", "path", "line", "rect", "text"),
}


class Page(HTMLParser):
    """What a browser would make of a page: its elements with their attributes, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def pages(site: Path) -> dict[str, Page]:
    return {path.relative_to(site).as_posix(): Page(path) for path in sorted(site.rglob("*.html"))}


def test_hostile_names_are_text_everywhere(site: Path) -> None:
    found = pages(site)
    assert len(found) == 1 + 3 + 6
    for name, page in found.items():
        assert re.fullmatch(r"(?:(?:tasks|methods)/)?[a-z0-9._-]{1,90}\.html", name)
        for tag, attributes in page.elements:
            assert tag in OURS, f"{name}: <{tag}>"
            assert not [key for key in attributes if key.startswith("on") or key == "style"], (
                f"{name}: <{tag} {attributes}>"
            )
            if tag == "script":
                assert attributes["src"] in ("tables.js", "../tables.js")
        assert not set(page.text) & {"\x1b", "\u202e"}
    shown = printable(EVIL)
    home = found["index.html"].text
    assert (
        shown in home and f"odd@a={shown}/churn" in home and LONG in home and "49" not in re.findall(r"\{\{.*?\}\}", home)
    )
    assert f"ValueError: {shown}" in found["methods/broken.html"].text or f"ValueError: {shown}" in home
    assert f"Nothing {shown}." in found["methods/alpha.html"].text
    assert shown in found[f"methods/{page_name('con')}"].text and page_name("con") != "con.html"


def test_links_stay_in_the_site_and_lead_somewhere(site: Path) -> None:
    for name, page in pages(site).items():
        for tag, attributes in page.elements:
            target = attributes.get("href") or attributes.get("src")
            if tag not in ("a", "link", "script") or target == "data:,":
                continue
            assert target is not None and not re.match(r"[a-z]+:|//", target), f"{name}: {target}"
            file = target.partition("#")[0]
            assert not file or (site / name).parent.joinpath(file).resolve().is_relative_to(site.resolve())
            assert not file or (site / name).parent.joinpath(file).is_file(), f"{name}: {target}"


def test_a_page_holds_scores_commands_configuration_audit_and_published_values(site: Path) -> None:
    found = pages(site)
    task, method = found[f"tasks/{page_name(CHURN)}"].text, found["methods/alpha.html"].text
    for part in (
        "0.7150",
        "± 0.0071",
        "AUROC",
        "Other <b>",
        "paper & co",
        "1 more value in another metric is left out",
        "Seed 1",
    ):
        assert part in task
    for part in (
        f"relbench-harness run -m task={CHURN} method=alpha seed=0,1 regime=rolling", "Made at commit 0123456789ab.",
        "depth: 3", "later rows", "100", "Abacus <3>", "no method 'alpha'",
    ):  # fmt: skip
        assert part in method
    # the validation of each epoch: a line and points on both pages, and no heading where a method holds no curves
    assert "Learning curves" in task and "Learning curves" in method and "Seconds" in method
    assert "Learning curves" not in found["methods/beta.html"].text
    assert "†" not in method
    assert "†" in found["methods/beta.html"].text


def test_the_first_page_has_all_scores_in_one_table(results_folder: Path, site: Path) -> None:
    tables = list(score_tables(leaderboard(read_results(results_folder))))
    home = pages(site)["index.html"].text
    assert tables
    for table in tables:
        shown = home.partition(table.title)[2].partition("Bold: the best")[0]
        assert all(printable(table.heading(group)) in shown for group in table.groups)
        for method in table.methods:
            line = shown.partition(printable(method))[2]
            values = [row["test"] for group in table.groups if (row := table.rows.get((method, group)))]
            assert all(f"{value:.4f}" in line for value in values if math.isfinite(value))


def test_what_a_method_looks_at_stands_on_its_page_alone(site: Path) -> None:
    found = pages(site)
    text = " ".join(found["methods/alpha.html"].text.split())
    for part in (
        "What it looks at", "321 validation examples, rolling.",
        "Ablation and contributions agree on columns with a rank correlation of 0.88 over 7 parts.",
        "A query of 3 columns reproduces the answers with an R² of 0.81 (0.50 to 0.90).", f"orders.{printable(EVIL)}", "75%",
        "0.1250", "0.1000 to 0.1500", "Amount by ablation",
    ):  # fmt: skip
        assert part in text
    assert text.count("321 validation examples") == 2
    assert "What it looks at" not in found["methods/beta.html"].text


def test_what_is_not_there_is_said(site: Path) -> None:
    task = pages(site)[f"tasks/{page_name(CHURN)}"].text
    assert "There is no calibration or lift curve: no dataset 'house'" in task
    assert "The manifest of this task is not shown: no dataset 'house'" in task
    assert "There is no audit report" in pages(site)["methods/beta.html"].text
    assert "No run scored" not in task


def test_equal_input_gives_equal_files(results_folder: Path, site: Path, tmp_path: Path) -> None:
    again = tmp_path / "elsewhere" / "house"
    shutil.copytree(results_folder, again)
    assert main(["publish", str(again), "--to", str(tmp_path / "site")]) == 0
    files = {path.relative_to(site): path.read_bytes() for path in site.rglob("*") if path.is_file()}
    assert files == {
        p.relative_to(tmp_path / "site"): p.read_bytes() for p in (tmp_path / "site").rglob("*") if p.is_file()
    }


def test_only_failed_runs_make_a_site(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "lines.jsonl").write_text(made("broken", None).to_json() + "\n")
    assert main(["publish", str(tmp_path / "results"), "--to", str(tmp_path / "site")]) == 0
    assert "No run scored" in Page(tmp_path / "site" / "tasks" / page_name(CHURN)).text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere", "--to", "site"], "no results folder nowhere"),
        (["empty", "--to", "site"], "no results in empty"),
        (["results", "--to", "full"], "full holds 'mine.txt', which is no part of a site"),
        (["results", "--to", "site", "--published", "none"], "no folder of published rows none"),
        (["results", "--to", "site", "--against", "gama"], "there is no method 'gama' to compare with; known: gamma"),
    ],
)
def test_bad_input_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "results", "full"):
        Path(name).mkdir()
    Path("full/mine.txt").write_text("mine")
    Path("results/lines.jsonl").write_text(made("gamma", 0.7).to_json() + "\n")
    assert main(["publish", *arguments]) == 2
    error = capsys.readouterr().err
    assert said.replace("known: gamma", "") in error and error.count("\n") == 1
    assert not Path("site").exists() and Path("full/mine.txt").read_text() == "mine"


def test_without_the_extra_one_sentence_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(publishing.importlib.util, "find_spec", lambda name: None)
    assert main(["publish", str(tmp_path), "--to", str(tmp_path / "site")]) == 2
    assert "'relbench-harness[site]'" in capsys.readouterr().err
