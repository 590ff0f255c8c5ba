"""What a trial has found out, and the comparisons that follow from it.

Invariant: figures come from stored results, their predictions and the task's labels; nothing is measured here a second time. Methods are
compared on the same test examples, and which of them is proposed is decided on validation alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relbench_harness.authoring.check_report import Report
from relbench_harness.authoring.dataset_summary import TaskSummary
from relbench_harness.board.intervals import DRAWS, Resamples
from relbench_harness.board.leaderboard import Group, leaderboard
from relbench_harness.board.paired import Difference, all_compared
from relbench_harness.board.predictions import SplitLabels, predictions_for, read_predictions, split_labels
from relbench_harness.board.store import home_of
from relbench_harness.board.uncertainty import row_resamples, with_uncertainty
from relbench_harness.data.dataset import open_task
from relbench_harness.data.labels import Split
from relbench_harness.data.task import Task
from relbench_harness.explain.explanation import Explanation
from relbench_harness.protocol.metrics import PRIMARY
from relbench_harness.protocol.result import Result
from relbench_harness.protocol.stages import Stages
from relbench_harness.site.rankings import Line, Material, Ranking, rankings
from relbench_harness.trial.carry_out import REGIME, Attempt
from relbench_harness.trial.plan import REFERENCE, RULES
from relbench_harness.trial.source import Found
from relbench_harness.trial.task import Chosen

MOST_CELLS = 6e8
"""How many weighted examples intervals may take: with more examples there are fewer draws."""
FEWEST_DRAWS = 200


@dataclass(frozen=True)
class Trial:
    """All that a report is made of.

    Attributes:
        folder: Where the report and the results lie.
        capacity: How many entities can be acted on at a time, where that was named.
        seconds: What each step of the command took.
        minutes: What it was given.
        looked_at: What the proposed method looks at, or why that is not known.
    """

    found: Found
    chosen: Chosen
    checked: Report
    attempts: Sequence[Attempt]
    folder: Path
    minutes: float
    seconds: Mapping[str, float] = field(default_factory=dict)
    capacity: int | None = None
    looked_at: Explanation | str | None = None

    @property
    def results(self) -> list[Result]:
        return [one.result for one in self.attempts if one.result is not None]

    @property
    def results_folder(self) -> Path:
        return self.folder / "results"

    @cached_property
    def task(self) -> Task:
        return self._stages.task

    @cached_property
    def _stages(self) -> Stages:
        return Stages(*open_task(self.chosen.address), REGIME)

    @cached_property
    def summary(self) -> TaskSummary | None:
        """The task in figures, None where the check could not make its labels."""
        return next((one for one in self.checked.tasks if one.name == self.task.name), None)

    @cached_property
    def labels(self) -> SplitLabels:
        return split_labels(self._stages, "test")

    def times_of(self, split: Split) -> NDArray[np.int64]:
        """The different times at which a split asks, nanoseconds, from early to late."""
        return np.unique(self._stages.labels(split).time)

    @property
    def metric(self) -> str:
        return PRIMARY[self.task.type].name

    @property
    def higher_is_better(self) -> bool:
        return PRIMARY[self.task.type].higher_is_better

    @cached_property
    def resamples(self) -> dict[tuple[Group, str], Resamples]:
        """Row of the board → its resamples."""
        methods = max(sum(one.scored for one in self.attempts), 1)
        draws = int(min(DRAWS, max(FEWEST_DRAWS, MOST_CELLS / methods / max(len(self.labels), 1))))
        return row_resamples(self.results_folder, self.results, draws)

    @cached_property
    def material(self) -> Material:
        """The leaderboard of this trial alone, whatever else lies in its folder, compared with the plain reference."""
        against = self.reference
        board = leaderboard(self.results)
        if against is not None:
            board = with_uncertainty(board, self.results_folder, self.results, against, known=self.resamples)
        files = {id(one): self._file(one) for one in self.results}
        return Material(board, rankings(board, self.results, ()), self.results, files, ())

    def _file(self, result: Result) -> Path:
        home = home_of(result.task, result.method, self.results_folder)
        return home / (Path(result.predictions).with_suffix(".json").name if result.predictions else "")

    @cached_property
    def ranking(self) -> Ranking | None:
        return next(iter(self.material.rankings), None)

    @property
    def lines(self) -> dict[str, Line]:
        """Method → its row, of those that scored, the best on test first."""
        return {} if self.ranking is None else {line.method: line for line in self.ranking.scored}

    @cached_property
    def reference(self) -> str | None:
        """What others are compared with: the plain reference, or the best rule on validation where that one failed."""
        scored = {one.method for one in self.attempts if one.scored}
        return REFERENCE if REFERENCE in scored else self.rule

    @cached_property
    def rule(self) -> str | None:
        """The rule without a model that is best on validation."""
        return self._best_of(RULES)

    @cached_property
    def proposed(self) -> str | None:
        """The method that is best on validation, rules included: the one to keep."""
        return self._best_of([one.method for one in self.attempts])

    @cached_property
    def learned(self) -> str | None:
        """The best on validation of the methods that learn from related tables by themselves."""
        return self._best_of([one.method for one in self.attempts if one.method not in (*RULES, REFERENCE)])

    def _best_of(self, names: Sequence[str]) -> str | None:
        sign = 1 if self.higher_is_better else -1
        reached = {
            one.method: sign * value
            for one in self.attempts
            if one.method in names and one.result is not None and one.scored
            if math.isfinite(value := one.result.scores["val"].get(self.metric, math.nan))
        }
        return max(reached, key=lambda name: reached[name]) if reached else None

    def compared_with(self, other: str) -> dict[str, Difference]:
        """Every method's difference to the method `other` on test, corrected for how many there are."""
        made = {name: one for (_, name), one in self.resamples.items()}
        return all_compared(other, made) if other in made else {}

    def alone(self, method: str, other: str) -> Difference | None:
        """The difference of two methods that were chosen before test was looked at, so that nothing is corrected."""
        found = self.compared_with(other).get(method)
        return None if found is None else found._replace(corrected=found.p)

    def predictions(self, method: str) -> NDArray[np.generic] | None:
        """A method's answers to the test examples, in the order of `labels`."""
        result = next((one for one in self.results if one.method == method and one.ok), None)
        path = None if result is None else self.material.predictions_of(result)
        return None if path is None else predictions_for(read_predictions(path), "test", self.labels, path.name)
