"""A relational network and boosted trees together: their mean prediction, the trees reading an earlier network's states as well.

The two err differently: one reads the tables themselves, the other features of them. Trees can learn from a network's states only
where the network has not seen the labels. So a small network of its own learns from the earlier part of the training examples, and
its states of those are missing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError, UnsupportedTaskError
from relbench_harness.features.block import Column, Features, FittedBlock
from relbench_harness.features.copied_rows import Sources
from relbench_harness.protocol.method import Budget, Countdown, Examples, Method, Predictor
from relbench_harness.temporal.example_split import earlier_part, numbers_since

from .averaged import FittedAverage
from .gnn.method import FittedGNN, RelationalGNN
from .trees.method import BoostedTrees

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NetworkStates:
    """A feature block: a fitted network's state of each example, and its outputs.

    Attributes:
        since: Examples before this time (nanoseconds), from which the network learned, have none.
    """

    network: FittedGNN
    since: int

    def fit(self, train: Examples) -> NetworkStates:
        """The network is fitted already; it stays as it is."""
        return self

    def transform(self, examples: Examples) -> Features:
        return self.features(examples, self.network.evaluator.embed)

    def for_copies(self, whole: Examples) -> Callable[[Sources], FittedBlock]:
        """See `CopyBlock`."""
        evaluator = self.network.evaluator
        batches = evaluator.batches_for_copies(whole)
        return lambda sources: _StatesOfCopies(self, lambda examples: evaluator.embedded(batches(examples, sources)))

    def features(self, examples: Examples, embed: Callable[[Examples], NDArray[np.float32]]) -> Features:
        """The states that `embed` gives of the examples that have some."""
        new = numbers_since(examples, self.since)
        values = np.full((len(examples), self.network.evaluator.width), np.nan, np.float32)
        if len(new):
            values[new] = embed(examples.take(new))
        return Features(len(examples), tuple(Column(f"network.{i}", column) for i, column in enumerate(values.T)))


@dataclass(frozen=True)
class _StatesOfCopies:
    """The same block where a network reads copies of rows."""

    states: NetworkStates
    embed: Callable[[Examples], NDArray[np.float32]]

    def transform(self, examples: Examples) -> Features:
        return self.states.features(examples, self.embed)


@dataclass(frozen=True)
class Hybrid:
    """The mean of a network's and of trees' predictions.

    Attributes:
        network: Learns from all training examples.
        trees: Their features are joined by the states of `reader`, but for recommendations.
        reader: A network that learns from the earlier training examples, whose states of the others the trees read.
        earlier: Which part of the training examples, by time, `reader` learns from.
    """

    network: Method
    trees: BoostedTrees
    reader: RelationalGNN
    earlier: float = 0.6

    def __post_init__(self) -> None:
        if not 0 < self.earlier < 1:
            raise InputError(f"earlier is a part of the training examples between 0 and 1, got {self.earlier}")

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Predictor:
        """Each of the parts has an equal share of the seconds left. Where one part refuses the task, the other answers."""
        countdown, trees = Countdown(budget), self.trees
        if train.task.type is not TaskType.RECOMMENDATION:
            earlier, since = earlier_part(train, self.earlier)
            states = NetworkStates(self.reader.fit(earlier, valid, countdown.part(1 / 3)), since)
            trees = replace(trees, features=(*trees.features, states))
        members, refused = list[Predictor](), dict[str, UnsupportedTaskError]()
        parts: tuple[tuple[str, Method], ...] = (("network", self.network), ("trees", trees))
        for number, (name, part) in enumerate(parts):
            try:
                members.append(part.fit(train, valid, countdown.part(1 / (len(parts) - number))))
            except UnsupportedTaskError as error:
                log.warning("hybrid answers without its %s: %s", name, error)
                refused[name] = error
        if not members:
            raise refused["network"]
        return FittedAverage(tuple(members), {"left_out": list(refused)} if refused else {})
