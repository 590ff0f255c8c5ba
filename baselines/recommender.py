"""A recommender whose users are read by a graph network, for tasks that name items.

`two_tower` compares a question's embedding with every item's, `id_aware` scores only what the question met before beside
what is popular, and `hybrid` does both, as ContextGNN (Yuan et al., 2024) does. The parts are in `recommendation`; a task
that names no items is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.protocol.method import Budget, Examples, Predictor

from .relational_gnn import RelationalGNN


@dataclass(frozen=True)
class Recommender(RelationalGNN):
    """See `RelationalGNN`; `parts` chooses among the three."""

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Predictor:
        if train.task.type is not TaskType.RECOMMENDATION:
            raise InputError(f"task {train.task.id} names no items, so a recommender cannot answer it; use method=gnn")
        return super().fit(train, valid, budget)
