"""A relational network and boosted trees together: their mean answer, the trees reading an earlier network's view as well.

The two err differently, one reading the tables themselves, the other features of them. Trees can learn from what a network
says only where it is as good as it will be on new questions, and not where it knows the answers by heart: so a small network
of its own learns from the earlier part of the training questions, and its view of those is missing.
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

from .averaged import FittedAverage, shares
from .relational import Fitted, Relational, in_order
from .training import autocast, device_of
from .trees.method import BoostedTrees


@dataclass(frozen=True)
class NetworkView:
    """A feature block: a fitted network's embedding of each question, and its output.

    Attributes:
        since: Questions before this time (nanoseconds), which the network learned from, have no view.
    """

    network: Fitted
    since: int

    def fit(self, train: Examples) -> NetworkView:
        """The network is fitted already; it stays as it is."""
        return self

    def transform(self, examples: Examples) -> Features:
        new = np.flatnonzero(examples.time >= self.since)
        values = np.full((len(examples), self.network.method.channels + self.network.answer.width), np.nan, np.float32)
        if len(new):
            values[new] = self._values(examples.take(new))
        return Features(len(examples), tuple(Column(f"network.{i}", column) for i, column in enumerate(values.T)))

    def _values(self, examples: Examples) -> NDArray[np.float32]:
        """(n, channels + outputs)."""
        model, device = self.network.network, device_of(self.network.budget)
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
    """The mean of a network's and of trees' answers.

    Attributes:
        network: Learns from all training questions, and answers.
        trees: Answer beside it; their features are joined by the view, but for recommendations.
        view: A network that learns from the earlier training questions, for the trees to read what it says of the others.
        earlier: Which part of the training questions, by time, `view` learns from.
    """

    network: Relational
    trees: BoostedTrees
    view: Relational
    earlier: float = 0.6

    def __post_init__(self) -> None:
        if not 0 < self.earlier < 1:
            raise InputError(f"earlier is a part of the training questions between 0 and 1, got {self.earlier}")

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Predictor:
        """Each of the three has a third of the budget's seconds."""
        share = shares(budget, [budget.seed] * 3)[0]
        trees = self.trees
        if train.task.type is not TaskType.RECOMMENDATION:
            first, since = by_time(train, self.earlier)
            viewed = replace(self.view, networks=1, leveled=bool(self.view.leveled)).fit(first, valid, share)
            assert isinstance(viewed, Fitted)
            trees = replace(trees, features=(*trees.features, NetworkView(viewed, since)))
        return FittedAverage((self.network.fit(train, valid, share), trees.fit(train, valid, share)))


def by_time(examples: Examples, earlier: float) -> tuple[Examples, int]:
    """The earlier part of the questions, those of one time together, and the time of the first one after it.

    Where there is one time, all questions and that time.
    """
    order = np.sort(examples.time)
    since = int(order[min(len(order) - 1, int(earlier * len(order)))])
    early = examples.time < since
    return (examples.take(np.flatnonzero(early)) if early.any() else examples), since
