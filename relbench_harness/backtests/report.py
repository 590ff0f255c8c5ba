"""What a backtest came to, as JSON, CSV, Markdown and a chart; the JSON holds all that the others show."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from relbench_harness.backtests.carry_out import Cell
from relbench_harness.backtests.plan import Plan
from relbench_harness.backtests.scoring import Gain, Scored, seconds_of
from relbench_harness.backtests.shift import CHANGED, STABLE, ColumnShift, LabelShift
from relbench_harness.board.intervals import Interval
from relbench_harness.board.paired import in_words
from relbench_harness.board.store import folder_name
from relbench_harness.data.writing import write_whole
from relbench_harness.protocol.machine import commit, machine, versions

FOLDER = "backtests"
MEAN = "mean after the first"
MOST_COLUMNS = 15
"""Columns whose shift is shown; the JSON has all."""


@dataclass(frozen=True)
class Report:
    """A backtest.

    Attributes:
        about: Task, method, configuration, seed, regime and so on, as they stand in the JSON.
        dates: The cut-off of each origin.
        examples: (origins,) how many are answered.
    """

    about: Mapping[str, Any]
    plan: Plan
    dates: Sequence[str]
    examples: Sequence[int]
    cells: Sequence[Cell]
    scored: Scored
    higher_is_better: bool
    columns: Sequence[ColumnShift]
    labels: LabelShift
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def policies(self) -> list[str]:
        return list(dict.fromkeys(cell.policy for cell in self.cells))

    # -- lines and tables -------------------------------------------------------------------------------------------------

    def lines(self) -> list[dict[str, Any]]:
        """One record for each policy and origin."""
        found = []
        for cell in self.cells:
            one = self.scored.intervals.get((cell.policy, cell.origin))
            found.append(
                {
                    "policy": cell.policy,
                    "origin": cell.origin + 1,
                    "at": self.dates[cell.origin],
                    "learned_at": self.dates[cell.learned],
                    "days_since_training": round(cell.age, 3),
                    "examples": len(cell.labels),
                    "entities": None if one is None else one.entities,
                    "metric": self.scored.metric,
                    "score": None if one is None else _known(one.value),
                    "low": None if one is None else _known(one.low),
                    "high": None if one is None else _known(one.high),
                    "fit_seconds": round(cell.fit_seconds, 4),
                    "predict_seconds": round(cell.predict_seconds, 4),
                    "label_mean": _known(self.labels.means[cell.origin]),
                    "label_shift": _known(self.labels.indices[cell.origin]),
                    "error": cell.error or None,
                }
            )
        return found

    def score_table(self) -> list[list[str]]:
        """Headings, then a row for each origin and one for the mean over all after the first."""
        found = [["origin", "examples", *self.policies]]
        for k, date in enumerate(self.dates):
            scores = (_interval(self.scored.intervals.get((policy, k))) for policy in self.policies)
            found.append([f"{k + 1}: {date[:10]}", f"{self.examples[k]:,}", *scores])
        means = (_interval(self.scored.means.get(policy)) for policy in self.policies)
        return [*found, [MEAN, f"{sum(self.examples[1:]):,}", *means]]

    def gain_table(self) -> list[list[str]]:
        """Headings, then what policies gain over each other at each origin after the first, and in the mean."""
        pairs = _pairs(self.scored.gains)
        found = [["origin", "days since the first", *(f"{a} − {b}" for a, b in pairs)]]
        for k, date in list(enumerate(self.dates))[1:]:
            found.append(
                [
                    f"{k + 1}: {date[:10]}",
                    f"{(pd.Timestamp(date) - pd.Timestamp(self.dates[0])).days}",
                    *(_gain(self._gain(pair, k)) for pair in pairs),
                ]
            )
        return [*found, [MEAN, "", *(_gain(self._gain(pair, None)) for pair in pairs)]]

    def cost_table(self) -> list[list[str]]:
        """Headings, then the seconds of each policy."""
        found = [["policy", "fits", "seconds to learn", "seconds to answer", "seconds in all"]]
        for policy in self.policies:
            fit, predict = seconds_of(self.cells, policy)
            fits = sum(cell.policy == policy and cell.learned == cell.origin and not cell.error for cell in self.cells)
            found.append([policy, str(fits), f"{fit:.1f}", f"{predict:.1f}", f"{fit + predict:.1f}"])
        return found

    def shift_table(self) -> list[list[str]]:
        """Headings, then labels and the columns that moved most."""
        numbers = [str(k + 1) for k in range(len(self.dates))]
        found = [["stability index at origin", *numbers], ["labels", *map(_index, self.labels.indices)]]
        if not math.isnan(self.labels.before):
            found.append([f"mean of labels (before: {self.labels.before:.3g})", *(f"{m:.3g}" for m in self.labels.means)])
        shown = [column for column in self.columns if not math.isnan(column.largest)][:MOST_COLUMNS]
        return found + [[f"{c.table}.{c.column}", *map(_index, c.indices)] for c in shown]

    def sentences(self) -> list[str]:
        """What the differences say, and who failed."""
        found = []
        for pair in _pairs(self.scored.gains):
            whole = self._gain(pair, None)
            if whole is not None:
                said = in_words(whole.difference, self.higher_is_better)
                found.append(f"{pair[0]} against {pair[1]}, mean of the origins after the first: {said}.")
        failed = [cell for cell in self.cells if cell.error]
        return found + [f"{c.policy} failed at origin {c.origin + 1}: {c.error}" for c in failed]

    def _gain(self, pair: tuple[str, str], origin: int | None) -> Gain | None:
        return next((g for g in self.scored.gains if (g.first, g.second, g.origin) == (*pair, origin)), None)

    # -- files ------------------------------------------------------------------------------------------------------------

    def to_json(self) -> str:
        """All figures, with the machine and the versions that they come from."""
        costs = dict(zip(self.policies, (seconds_of(self.cells, policy) for policy in self.policies), strict=True))
        whole = {
            **self.about,
            "origins": self.plan.number,
            "step": self.plan.step,
            "last": self.plan.last,
            "metric": self.scored.metric,
            "higher_is_better": self.higher_is_better,
            "started": self.started,
            "lines": self.lines(),
            "means": {policy: _plain(one._asdict()) for policy, one in self.scored.means.items()},
            "differences": [_difference(gain) for gain in self.scored.gains],
            "seconds": {policy: {"fit": round(f, 4), "predict": round(p, 4)} for policy, (f, p) in costs.items()},
            "label_mean_before": _known(self.labels.before),
            "column_shift": [
                {"table": c.table, "column": c.column, "index": [_known(i) for i in c.indices]} for c in self.columns
            ],
            "machine": machine(),
            "versions": versions(),
            "commit": commit(),
        }
        return json.dumps(whole, indent=1, ensure_ascii=False, default=str)

    def to_csv(self) -> str:
        written = io.StringIO()
        lines = self.lines()
        writer = csv.DictWriter(written, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
        return written.getvalue()

    def to_markdown(self) -> str:
        about = self.about
        better = "higher is better" if self.higher_is_better else "lower is better"
        parts = [
            f"# {about['method']} on {about['task']} at {self.plan.number} cut-offs",
            f"{self.scored.metric} ({better}) with 95 % intervals over entities; regime {about['regime']}, seed {about['seed']}, "
            f"learned from {about['fit_on']}, origins one {self.plan.step} apart.",
            *self.sentences(),
            "## Scores",
            _markdown(self.score_table()),
            *(["## Differences", _markdown(self.gain_table())] if self.scored.gains else []),
            "![Scores by origin](backtest.svg)",
            "## Cost",
            _markdown(self.cost_table()),
            "## Shift",
            f"Below {STABLE} is commonly called stable, above {CHANGED} a change. Columns: the rows of the step before an origin against "
            "all before the first origin. Labels: the examples of an origin against the training labels of the first.",
            _markdown(self.shift_table()),
        ]
        return "\n\n".join(parts) + "\n"

    def write(self, folder: Path) -> Path:
        """Writes the files below `folder`, in place of those of an equal backtest; returns where."""
        from relbench_harness.backtests.picture import picture

        about, plan = self.about, self.plan
        name = f"{about['regime']}-seed{about['seed']}-{plan.number}x{plan.step}-{plan.last}"
        home = folder / FOLDER / folder_name(about["task"].replace("/", "__")) / folder_name(about["method"]) / name
        home.mkdir(parents=True, exist_ok=True)
        write_whole(home / "backtest.svg", picture(self.lines(), self.policies, self.scored.metric))
        write_whole(home / "backtest.csv", self.to_csv())
        write_whole(home / "backtest.md", self.to_markdown())
        write_whole(home / "backtest.json", self.to_json() + "\n")
        return home


def _pairs(gains: Sequence[Gain]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((gain.first, gain.second) for gain in gains))


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """Without NaN, which is no JSON."""
    return {key: _known(value) if isinstance(value, float) else value for key, value in record.items()}


def _difference(gain: Gain) -> dict[str, Any]:
    of = gain.difference
    return {
        "first": gain.first,
        "second": gain.second,
        "origin": None if gain.origin is None else gain.origin + 1,
        "days_since_training": round(gain.age, 3),
        **_plain({"difference": of.difference, "low": of.low, "high": of.high, "p": of.p}),
        "examples": of.examples,
        "entities": of.entities,
    }


def _interval(one: Interval | None) -> str:
    return "failed" if one is None else f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})"


def _gain(gain: Gain | None) -> str:
    if gain is None:
        return ""
    of = gain.difference
    return f"{of.difference:+.3f} ({of.low:+.3f} to {of.high:+.3f})"


def _index(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def _markdown(table: Sequence[Sequence[str]]) -> str:
    head, *rows = ([cell.replace("|", "\\|") for cell in row] for row in table)
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))
