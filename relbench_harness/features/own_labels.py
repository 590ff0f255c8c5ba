"""The labels that an entity already has, and the recent mean of all labels, as of any cut-off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relbench_harness.data.task import TaskType
from relbench_harness.features.history_summary import HistorySummary
from relbench_harness.features.past_labels import label_numbers
from relbench_harness.protocol.method import Examples
from relbench_harness.temporal.closed_labels import closed_labels
from relbench_harness.temporal.history import History
from relbench_harness.temporal.recent_label_mean import RecentLabelMean
from relbench_harness.temporal.running_totals import Floats

WINDOWS = 24
"""How many windows after the last of training are computed for each cut-off, at most."""


@dataclass(frozen=True)
class OwnLabels:
    """Past labels by entity.

    Attributes:
        recent_mean: Regression only.
    """

    labels: HistorySummary
    recent_mean: RecentLabelMean | None

    @classmethod
    def of(cls, examples: Examples, train: Examples, span: int) -> OwnLabels | None:
        """The labels known to some of `examples`; None for recommendations.

        Args:
            train: Training examples, whose mean label stands where no label is known yet.
            span: Nanoseconds before the latest known label within which labels count as recent.
        """
        if examples.task.type is TaskType.RECOMMENDATION:
            return None
        past = closed_labels(examples, WINDOWS, learned=train)
        values = [values for _, values in label_numbers(examples, past)]
        # a label known from an instant on is a row just before it
        history = History.of(past.entity, past.known_from - 1, len(examples.database[examples.task.entity_table]))
        summary = HistorySummary(history, history.totals(iter(values), len(values)))
        if examples.task.type is not TaskType.REGRESSION:
            return cls(summary, None)
        return cls(summary, RecentLabelMean.of(past, values[0], span, float(train.values.mean())))

    def means(self, examples: Examples) -> Floats:
        """(n, len(LAST) + 2) means of each entity's last labels, NaN where there are none, and the recent means of all
        labels and of cold-start labels; regression only, else (n, 0)."""
        if self.recent_mean is None:
            return np.zeros((len(examples), 0))
        means = self.labels.means(examples.entity, examples.cutoff)[:, :, 0]
        return np.concatenate([means, self.recent_mean.read(examples.cutoff)], axis=1)
