"""A trial in a notebook: what it came to, shown as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import pandas as pd

from relbench_harness.authoring.commands import datasets_folder
from relbench_harness.protocol.result import Result
from relbench_harness.streams import say
from relbench_harness.trial.about_scores import leaderboard
from relbench_harness.trial.carried import Carried, Request, carry_out
from relbench_harness.trial.facts import Trial
from relbench_harness.trial.html_table import html_table
from relbench_harness.trial.plan import turns_of


@dataclass(frozen=True, repr=False)
class Tried:
    """What a trial came to.

    Attributes:
        report: The page; `report.md` lies beside it, and the results in `results/`.
    """

    trial: Trial
    verdict: str
    report: Path

    @property
    def results(self) -> list[Result]:
        """The results of the runs, failed ones among them."""
        return self.trial.results

    @property
    def leaderboard(self) -> pd.DataFrame:
        """The leaderboard, with intervals and differences to the plain reference."""
        return self.trial.material.board

    def __repr__(self) -> str:
        return f"<trial of {self.trial.chosen.address}: {self.verdict} Report: {self.report}>"

    def _repr_html_(self) -> str:
        part = leaderboard(self.trial)
        tables = "" if part is None else "".join(html_table(table) for table in part.tables)
        return f"<p><b>{escape(self.verdict)}</b></p>{tables}<p>Report: <code>{escape(str(self.report))}</code></p>"


def try_database(
    source: str,
    query: str,
    minutes: float = 10.0,
    to: str | Path | None = None,
    capacity: int | None = None,
    methods: Sequence[str] = (),
) -> Tried:
    """As the command `try`: from a database, files or a dataset and a predictive query to a report, within minutes.

    Args:
        source: What `relbench-harness dataset new --from` takes, or a dataset that is there.
        query: A predictive query, or a task of the dataset.
        minutes: For the whole.
        to: The folder of the report and the results; after the task in `trials/` where None.
        capacity: How many entities can be acted on at a time, for a task with two classes.
        methods: Only these; the six of the command where empty.

    Raises:
        InputError: The source, the query or an option will not do.
    """
    request = Request(
        source=source,
        query=query,
        imports=datasets_folder(),
        minutes=minutes,
        capacity=capacity,
        to=None if to is None else Path(to),
        turns=turns_of(methods),
    )
    carried: Carried = carry_out(request, say)
    return Tried(carried.trial, carried.report.verdict.headline.replace("`", ""), carried.path)
