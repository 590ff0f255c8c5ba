"""A relational network's view of each question as further columns for boosted trees.

The network learns first, from the earlier part of the training questions; the trees learn from the later part, where what
the network says is as good as it will be on new questions and not what it knows by heart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.features.block import Column, Features
from relbench_harness.protocol.method import Budget, Examples, Predictor

from .boosted_trees import BoostedTrees, FittedTrees
from .relational import Fitted, Relational, in_order
from .training import autocast, device_of


@dataclass(frozen=True)
class NetworkView:
    """A feature block: a fitted network's embedding of each question, and its output."""

    network: Fitted

    def fit(self, train: Examples) -> NetworkView:
        """The network is fitted already; it stays as it is."""
        return self

    def compute(self, examples: Examples) -> Features:
        values = self._values(examples)
        names = [f"network.{i}" for i in range(values.shape[1])]
        return Features(len(examples), tuple(Column(n, values[:, i]) for i, n in enumerate(names)))

    def _values(self, examples: Examples) -> NDArray[np.float32]:
        """(n, channels + outputs)."""
        model, device = self.network.network, device_of(self.network.budget)
        if len(examples) == 0:
            return np.zeros((0, self.network.method.channels + self.network.answer.width), np.float32)
        reading = self.network.reader.open(examples)
        model.to(device).eval()
        parts = []
        with torch.no_grad(), autocast(device):
            for batch in in_order(reading, examples, self.network.method.batch, device):
                view = model.embed(batch)
                parts.append(torch.cat([view, model.out(view)], dim=1).float().cpu().numpy())
        return np.concatenate(parts)


@dataclass(frozen=True)
class Hybrid:
    """A network and trees.

    Attributes:
        network: What embeds; it also answers recommendation tasks, alone.
        trees: What answers; its features are joined by the network's view.
        earlier: Which part of the training questions, by time, the network learns from; the rest is for the trees.
    """

    network: Relational
    trees: BoostedTrees
    earlier: float = 0.6

    def __post_init__(self) -> None:
        if not 0 < self.earlier < 1:
            raise InputError(f"earlier is a part of the training questions between 0 and 1, got {self.earlier}")

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Predictor:
        if train.task.type is TaskType.RECOMMENDATION:
            return self.network.fit(train, valid, budget)
        first, rest = by_time(train, self.earlier)
        fitted = self.network.fit(first, valid, budget)
        assert isinstance(fitted, Fitted)
        trees = replace(self.trees, features=(*self.trees.features, NetworkView(fitted)))
        grown = trees.fit(rest, valid, budget)
        assert isinstance(grown, FittedTrees)
        return FittedHybrid(self, grown)


@dataclass(frozen=True)
class FittedHybrid:
    """Grown trees that read the network's view."""

    method: Hybrid
    trees: FittedTrees

    def predict(self, questions: Examples) -> NDArray[np.generic]:
        return self.trees.predict(questions)

    def refit(self, examples: Examples) -> FittedHybrid:
        """The trees grow again on the later questions; the network stays."""
        return replace(self, trees=self.trees.refit(by_time(examples, self.method.earlier)[1]))


def by_time(examples: Examples, earlier: float) -> tuple[Examples, Examples]:
    """The earlier part of the questions and the rest, those of one time together; all twice where there is one time."""
    order = np.sort(examples.time)
    instant = order[min(len(order) - 1, int(earlier * len(order)))]
    early = examples.time < instant
    if not early.any():
        return examples, examples
    return examples.take(np.flatnonzero(early)), examples.take(np.flatnonzero(~early))
