"""`relbench-harness backtest`: composes a method as `run` does and refreshes it, or does not, at several cut-offs in a row.

The method runs in this process, for a model stays in memory from one origin to the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from relbench_harness.backtests.plan import Plan, plan_of
from relbench_harness.composed_alone import check_alone, composed_alone
from relbench_harness.errors import InputError

if TYPE_CHECKING:
    from relbench_harness.backtests.report import Report
    from relbench_harness.request import RunRequest

OWN: Mapping[str, str] = {"origins": "6", "refresh": "never,every", "step": "span", "last": "val"}
"""The keys that `run` does not have, with their defaults."""
REFUSED = ("save", "isolation", "limits", "jobs", "launcher", "resume", "retry", "tracker", "study")
"""Keys of `run` that mean nothing here."""


def backtest_overrides(overrides: Sequence[str]) -> tuple[Report, Path]:
    """The backtest that `overrides` describe, and the folder in which its files are.

    Raises:
        InputError: The request cannot be fulfilled.
    """
    own, rest = divided(overrides)
    plan = plan_of(**own)
    if not any(one.lstrip("+").startswith("fit_on=") for one in rest):
        rest = [*rest, "fit_on=train+val"]
    request, _ = composed_alone(rest, "backtest").request()
    from relbench_harness.board.store import ready

    request = replace(request, isolation="none")
    request.check()
    if request.results_dir is None:
        raise InputError("results_dir is empty; name a folder, such as results/mine")
    folder = Path(request.results_dir)
    ready(folder)
    report = backtested(request, plan)
    return report, report.write(folder)


def divided(overrides: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The command's own keys with their values, and the settings that a method is composed of.

    Raises:
        InputError: A key that means nothing here.
    """
    check_alone(overrides, "backtest")
    own, rest = dict(OWN), list[str]()
    for one in overrides:
        key, _, value = one.partition("=")
        if one.startswith("-"):
            raise InputError(f"backtest has no option {one!r}; it takes keys, such as origins=6")
        if key.partition(".")[0] in REFUSED:
            raise InputError(f"backtest takes no {key}; its method runs in this process, at one origin after another")
        if key in OWN:
            own[key] = value.strip("[]'\"")
        else:
            rest.append(one)
    return own, rest


def backtested(request: RunRequest, plan: Plan) -> Report:
    """The backtest of a method as a run is requested.

    Raises:
        InputError: An origin has too little data, or the method cannot do the task or a policy.
    """
    from relbench_harness.backtests.carry_out import Backtest
    from relbench_harness.backtests.origins import origins
    from relbench_harness.backtests.refreshing import Teacher
    from relbench_harness.backtests.report import Report
    from relbench_harness.backtests.scoring import scored_cells
    from relbench_harness.backtests.shift import column_shifts, label_shift
    from relbench_harness.data.dataset import open_task
    from relbench_harness.protocol.method import REGIMES
    from relbench_harness.protocol.metrics import PRIMARY
    from relbench_harness.protocol.work import FIT_ON
    from relbench_harness.request import choice

    stages = origins(open_task(request.task), plan, choice(request.regime, REGIMES, "regime"))
    teacher = Teacher(request.method, request.budget, choice(request.fit_on, FIT_ON, "fit_on"))
    cells = Backtest(request.name, teacher, stages, plan.refresh).execute()
    metric = PRIMARY[stages[0].task.type]
    about = {
        "task": stages[0].task.id,
        "method": request.name,
        "config": dict(request.config),
        "seed": request.budget.seed,
        "regime": request.regime,
        "fit_on": request.fit_on,
        "dataset_fingerprint": stages[-1].dataset.database.fingerprint,
    }
    return Report(
        about=about,
        plan=plan,
        dates=[str(one.dataset.cuts.test) for one in stages],
        examples=[len(one.labels("test")) for one in stages],
        cells=cells,
        scored=scored_cells(metric.name, cells),
        higher_is_better=metric.higher_is_better,
        columns=column_shifts(stages),
        labels=label_shift(stages),
    )


def backtest(overrides: Sequence[str]) -> int:
    """The command: prints the tables and says where the files are. Returns 1 where a policy failed at an origin."""
    report, home = backtest_overrides(overrides)
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from relbench_harness.streams import show, standard_output

    console = standard_output()
    better = "higher" if report.higher_is_better else "lower"
    title = f"{report.about['method']} on {report.about['task']}: {report.scored.metric}, {better} is better"
    for heading, (head, *rows) in (
        (title, report.score_table()),
        *([("differences", report.gain_table())] if report.scored.gains else []),
        ("cost", report.cost_table()),
        ("shift since the first origin", report.shift_table()),
    ):
        table = Table(title=Text(heading, style="bold"), title_justify="left", header_style="bold", box=SIMPLE_HEAD)
        for place, name in enumerate(head):
            table.add_column(Text(name), overflow="fold", no_wrap=place == 0)
        for row in rows:
            table.add_row(*map(Text, row))
        console.print(table)
    for sentence in report.sentences():
        show(sentence)
    show(f"wrote {home}")
    return 1 if any(cell.error for cell in report.cells) else 0
