"""The pages of a site as HTML: templates filled with values.

Invariant: every value is text to the templates but for charts, whose making ends in `drawing.svg`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from relbench_harness.board.overall import of_several_tasks, overall, win_matrix
from relbench_harness.board.plain_text import printable
from relbench_harness.board.score_table import score_tables
from relbench_harness.progress import work
from relbench_harness.site import learning
from relbench_harness.site.curves import Curves, curves
from relbench_harness.site.drawing import Figure
from relbench_harness.site.facts import Facts, facts_of
from relbench_harness.site.importance_tables import looked_at
from relbench_harness.site.method_facts import Rows, audits, code, configurations, made_on, said, scores_table
from relbench_harness.site.overall_plots import critical_difference_plot, win_plot
from relbench_harness.site.page_names import page_name
from relbench_harness.site.pareto import cost_plots, overall_cost_plots
from relbench_harness.site.rankings import Line, Material, Ranking
from relbench_harness.site.reproduce import command
from relbench_harness.site.score_plots import score_plot
from relbench_harness.site.tables import (
    Table,
    across_table,
    comparison_table,
    metrics_table,
    overall_table,
    published_table,
    ranking_table,
    seeds_table,
    task_href,
)
from relbench_harness.site.words import TYPES, counted, metric_name

ASSETS = ("style.css", "tables.js")


def environment() -> Environment:
    made = Environment(
        loader=PackageLoader("relbench_harness.site"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: (
            value if isinstance(value, Markup) else printable(value) if isinstance(value, str) else value
        ),
    )
    made.filters |= {"metric": metric_name, "type": lambda name: TYPES.get(name, name), "page": page_name}
    made.globals |= {"counted": counted, "better": lambda r: f"{'higher' if r.higher_is_better else 'lower'} is better"}
    return made


@dataclass(frozen=True)
class Section:
    """A ranking as the page of its task shows it."""

    ranking: Ranking
    title: str
    table: Table
    compared: Table | None
    published: Table | None
    scores: Figure | None
    costs: list[Figure]
    curves: Curves
    learning: list[Figure]
    seeds: Table
    metrics: Table

    @property
    def compared_with(self) -> str:
        return next((found for line in self.ranking.lines if isinstance(found := line.cells.get("against"), str)), "")


@dataclass(frozen=True)
class Across:
    """Methods across the tasks of a regime."""

    regime: str
    table: Table
    scores: Table
    figures: list[Figure]


def site_files(material: Material, title: str) -> Iterator[tuple[str, str]]:
    """(path below the folder of the site, content) of every file."""
    made = environment()
    facts = {task: facts_of(task) for task in material.tasks}
    for name in ASSETS:
        yield name, (files("relbench_harness.site") / "templates" / name).read_text(encoding="utf-8")
    yield "index.html", made.get_template("index.html").render(top="", site=title, **index(material))
    with work("pages of tasks", len(facts)) as under_way:
        for task, its_rankings in material.tasks.items():
            given = {"facts": facts[task], "sections": sections(its_rankings, facts[task], material)}
            yield task_href(task), made.get_template("task.html").render(top="../", site=title, task=task, **given)
            under_way.advance(task)
    for method, rows in material.methods.items():
        page = made.get_template("method.html").render(top="../", site=title, method=method, **of_method(rows, material))
        yield f"methods/{page_name(method)}", page


def index(material: Material) -> dict[str, Any]:
    """What the first page shows."""
    names = {line.name: line.method for rows in material.methods.values() for _, line in rows}
    tables = [
        (ranking, titled(ranking, material), ranking_table(ranking), published_table(ranking))
        for ranking in material.rankings
    ]
    return {
        "across": list(across(material.board, names)),
        "tables": tables,
        "tasks": list(material.tasks),
        "methods": list(material.methods),
        "datasets": sorted({ranking.dataset for ranking in material.rankings}),
        "regimes": sorted({ranking.regime for ranking in material.rankings}),
        "types": sorted({ranking.task_type for ranking in material.rankings}),
        "runs": len(material.results),
    }


def titled(ranking: Ranking, material: Material) -> str:
    """What a ranking is called where its task is known: its regime, and what else tells it from the task's others."""
    others = [one for one in material.rankings if one.task == ranking.task and one.regime == ranking.regime]
    parts = [ranking.regime]
    parts += [f"data {ranking.data}"] if len({one.data for one in others}) > 1 else []
    parts += [metric_name(ranking.metric)] if len({one.metric for one in others}) > 1 else []
    return ", ".join(parts)


def across(board: pd.DataFrame, methods: Mapping[str, str]) -> Iterator[Across]:
    """Rankings across tasks, of regimes with several tasks."""
    several = of_several_tasks(board)
    scores = {table.regime: across_table(table, methods) for table in score_tables(board)}
    for regime, ranking in overall(several).groupby("regime", sort=True):
        rows = several[several["regime"] == regime]
        wins = win_plot(win_matrix(several, str(regime)))
        drawn = [critical_difference_plot(ranking), *overall_cost_plots(ranking, rows), wins]
        figures = [figure for figure in drawn if figure is not None]
        yield Across(str(regime), overall_table(ranking, methods), scores[str(regime)], figures)


def sections(its_rankings: list[Ranking], facts: Facts, material: Material) -> list[Section]:
    """Every ranking of a task."""
    return [
        Section(
            ranking, titled(ranking, material), ranking_table(ranking, whole=True), comparison_table(ranking), published_table(ranking), score_plot(ranking),
            cost_plots(ranking), curves(ranking, facts.labels(ranking.data), material), learning.of_task(ranking), seeds_table(ranking), metrics_table(ranking),
        )
        for ranking in its_rankings
    ]  # fmt: skip


def of_method(rows: Rows, material: Material) -> dict[str, Any]:
    """What the page of a method shows."""
    latest: Line = rows[-1][1]
    commands = [(ranking, line, titled(ranking, material), command(line.results)) for ranking, line in rows]
    return {
        "rows": rows, "scores": scores_table(rows), "commands": commands, "configurations": configurations(rows),
        "code": code(latest.results[-1]), "audits": audits(rows, material.reports), "said": said(rows), "made_on": made_on(rows),
        "learning": learning.of_method(rows),
        "looked_at": looked_at(latest.method, [ranking.task for ranking, _ in rows], material.importances),
    }  # fmt: skip
