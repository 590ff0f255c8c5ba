"""A warning about a score that is too good: what it may rest on, before somebody believes it.

A binary task on whose validation split a method is almost never wrong, while the entities' past labels say much less, has a
leak more often than a good model.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from relbench_harness.authoring.leakage import auroc, column_scores
from relbench_harness.data.task import TaskType
from relbench_harness.protocol.method import Examples
from relbench_harness.protocol.result import Result
from relbench_harness.protocol.stages import Stages
from relbench_harness.temporal.closed_labels import closed_labels

ALMOST_SURE = 0.98
"""AUROC on validation from which a score is looked at."""
FAR_BELOW = 0.9
"""A label history below this is far below."""


def implausible(stages: Stages, result: Result) -> str | None:
    """A sentence where the result's score on validation is hard to believe, naming the column that carries it; else None."""
    if stages.task.type is not TaskType.BINARY or not result.ok:
        return None
    score = result.scores.get("val", {}).get("roc_auc", 0.0)
    if score < ALMOST_SURE:
        return None
    examples = stages.examples("val")
    positive = examples.values > 0.5
    if positive.all() or not positive.any():
        return None
    past = auroc(_label_history(examples), positive)
    if past >= FAR_BELOW:
        return None
    said = (
        f"{stages.task.id}: {result.method} has AUROC {score:.3f} on validation, where past labels have {past:.3f}; "
        "such a score is more often a leak than a model"
    )
    column, value = max(_columns(examples, positive), key=lambda entry: entry[1])
    if value >= FAR_BELOW:
        return f"{said}: {column} alone has {value:.3f}"
    return f"{said}; no column of the entity or of its parents has it alone (the best is {column} with {value:.3f})"


def _label_history(examples: Examples) -> NDArray[np.float64]:
    """The mean of each entity's past labels; that of all where there is none."""
    past = closed_labels(examples)
    span = past.known(examples)
    sums = np.concatenate([[0.0], np.cumsum(np.asarray(past.value, dtype=np.float64))])
    counts = span.last - span.first
    overall = sums[-1] / max(len(past), 1)
    means = (sums[span.last] - sums[span.first]) / np.maximum(counts, 1)
    return np.asarray(np.where(counts > 0, means, overall), dtype=np.float64)


def _columns(examples: Examples, positive: NDArray[np.bool_]) -> list[tuple[str, float]]:
    """Columns of the entity's row and of the parents that it names, each with its AUROC."""
    database, table = examples.database, examples.database[examples.task.entity_table]
    found = list(column_scores(table, examples.entity, positive))
    for column, parent in table.references.items():
        rows = table.parents(column)[examples.entity]
        known = rows >= 0
        if positive[known].any() and not positive[known].all():
            found += [
                (name, value)
                for name, value in column_scores(database[parent], rows[known], positive[known])
                if name != "row number"
            ]
    return found
