"""The labels that an entity already has, as of any cut-off: what the label skip reads."""

from __future__ import annotations

from dataclasses import dataclass

from relbench_harness.data.task import TaskType
from relbench_harness.features.history_summary import HistorySummary
from relbench_harness.features.past_labels import label_numbers
from relbench_harness.protocol.method import Examples
from relbench_harness.temporal.closed_labels import closed_labels
from relbench_harness.temporal.history import History
from relbench_harness.temporal.running_totals import Floats

WINDOWS = 24
"""How many windows after the last of training are computed for each cut-off, at most."""


@dataclass(frozen=True)
class OwnLabels:
    """Past labels by entity."""

    labels: HistorySummary

    @classmethod
    def of(cls, examples: Examples, train: Examples) -> OwnLabels | None:
        """The labels known to some of `examples`; None for other tasks than regression.

        Args:
            train: Training examples, whose labels stand for those of training where `examples` carry none.
        """
        if examples.task.type is not TaskType.REGRESSION:
            return None
        past = closed_labels(examples, WINDOWS, learned=train)
        values = [values for _, values in label_numbers(examples, past)]
        # a label known from an instant on is a row just before it
        history = History.of(past.entity, past.known_from - 1, len(examples.database[examples.task.entity_table]))
        return cls(HistorySummary(history, history.totals(iter(values), len(values))))

    def means(self, examples: Examples) -> Floats:
        """(n, len(LAST)) means of each entity's last labels, NaN where there are none."""
        return self.labels.means(examples.entity, examples.cutoff)[:, :, 0]
