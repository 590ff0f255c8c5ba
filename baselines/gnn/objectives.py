"""What a head's outputs mean: the loss against labels, and predictions from outputs, by task type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from relbench_harness.data.task import TaskType
from relbench_harness.protocol.method import Examples

from ..best_constant import best_constant


class Objective(Protocol):
    """A loss and its link. `start` is (outputs,) the initial bias of the outputs."""

    @property
    def start(self) -> NDArray[np.float64]: ...
    def loss(self, output: Tensor, labels: Tensor) -> Tensor: ...
    def decode(self, output: NDArray[np.float64]) -> NDArray[np.float64]: ...


def objective_for(train: Examples) -> Objective:
    """The objective of `train`'s task type, fitted to its labels."""
    kind, labels = train.task.type, train.values
    if kind is TaskType.REGRESSION and train.goal is not None and train.goal.metric == "rmse":
        return SquaredError.of(labels)
    if kind is TaskType.REGRESSION and train.goal is not None and train.goal.metric == "quantile":
        return Quantile.of(labels, train.goal.level)
    if kind is TaskType.REGRESSION:
        return Regression.of(labels)
    if kind is TaskType.MULTICLASS:
        return Softmax.of(labels, len(train.classes))
    return Sigmoid.of(labels.reshape(len(labels), -1), binary=kind is TaskType.BINARY)


@dataclass(frozen=True)
class Regression:
    """A number, learned by the mean absolute error, whose best constant is the median.

    Outputs are on a scale that is linear near the median of the labels and logarithmic far from it (asinh), so that a few huge
    labels do not drown the others. Half of the loss is the absolute error on that scale, half that of the number itself in units
    of `error`.

    Attributes:
        median, spread: Of the labels: the scale's centre and unit.
        error: Mean absolute error of the constant median, by which the plain error is divided.
        low, high: The range of the labels, to which predictions are clipped.
    """

    median: float
    spread: float
    error: float
    low: float
    high: float

    @classmethod
    def of(cls, labels: NDArray[np.float64]) -> Regression:
        median = float(best_constant(labels, quantile=0.5))
        spread = float(np.quantile(labels, 0.9) - np.quantile(labels, 0.1)) / 2 or float(labels.std()) or 1.0
        error = float(np.abs(labels - median).mean()) or 1.0
        return cls(median, spread, error, float(labels.min()), float(labels.max()))

    @property
    def start(self) -> NDArray[np.float64]:
        return np.zeros(1)

    def loss(self, output: Tensor, labels: Tensor) -> Tensor:
        z = output[:, 0].float()
        truth = (labels - self.median) / self.spread
        scaled = (z - torch.asinh(truth)).abs().mean()
        plain = (torch.sinh(z.clamp(-12, 12)) - truth).abs().mean() * (self.spread / self.error)
        return 0.5 * scaled + 0.5 * plain

    def decode(self, output: NDArray[np.float64]) -> NDArray[np.float64]:
        number = self.median + self.spread * np.sinh(output[:, 0].clip(-12, 12))
        return np.asarray(np.clip(number, self.low, self.high))


@dataclass(frozen=True)
class SquaredError:
    """A number, learned by the squared error in units of the labels' deviation, whose best constant is the mean.

    Attributes:
        low, high: The range of the labels, to which predictions are clipped.
    """

    mean: float
    deviation: float
    low: float
    high: float

    @classmethod
    def of(cls, labels: NDArray[np.float64]) -> SquaredError:
        return cls(float(labels.mean()), float(labels.std()) or 1.0, float(labels.min()), float(labels.max()))

    @property
    def start(self) -> NDArray[np.float64]:
        return np.zeros(1)

    def loss(self, output: Tensor, labels: Tensor) -> Tensor:
        return functional.mse_loss(output[:, 0].float(), ((labels - self.mean) / self.deviation).float())

    def decode(self, output: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.clip(self.mean + self.deviation * output[:, 0], self.low, self.high))


@dataclass(frozen=True)
class Quantile:
    """A quantile, on the scale of `Regression`: a scale that never falls leaves quantiles what they are.

    Attributes:
        level: Which quantile.
        scale: Its scale, whose centre is the median.
        initial: The labels' own quantile on it.
    """

    level: float
    scale: Regression
    initial: float

    @classmethod
    def of(cls, labels: NDArray[np.float64], level: float) -> Quantile:
        scale = Regression.of(labels)
        own = float(best_constant(labels, quantile=level))
        return cls(level, scale, float(np.arcsinh((own - scale.median) / scale.spread)))

    @property
    def start(self) -> NDArray[np.float64]:
        return np.asarray([self.initial])

    def loss(self, output: Tensor, labels: Tensor) -> Tensor:
        above = torch.asinh((labels - self.scale.median) / self.scale.spread).float() - output[:, 0].float()
        return torch.maximum(self.level * above, (self.level - 1) * above).mean()

    def decode(self, output: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.scale.decode(output)


@dataclass(frozen=True)
class Sigmoid:
    """Independent probabilities: one of a binary task, one per label of a multilabel task."""

    start: NDArray[np.float64]
    binary: bool

    @classmethod
    def of(cls, labels: NDArray[np.float64], binary: bool) -> Sigmoid:
        share = best_constant(labels, smoothing=0.5)
        return cls(np.log(share / (1 - share)), binary)

    def loss(self, output: Tensor, labels: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(output.float(), labels.reshape(len(labels), -1))

    def decode(self, output: NDArray[np.float64]) -> NDArray[np.float64]:
        probability = 1 / (1 + np.exp(-output.clip(-50, 50)))
        return np.asarray(probability[:, 0] if self.binary else probability)


@dataclass(frozen=True)
class Softmax:
    """One class of several; labels of −1 (a class unknown at training) are left out of the loss."""

    start: NDArray[np.float64]

    @classmethod
    def of(cls, labels: NDArray[np.float64], classes: int) -> Softmax:
        return cls(np.log(best_constant(labels, classes, smoothing=0.5)))

    def loss(self, output: Tensor, labels: Tensor) -> Tensor:
        known = labels >= 0
        if not bool(known.any()):
            return output.sum() * 0.0
        return functional.cross_entropy(output[known].float(), labels[known].long())

    def decode(self, output: NDArray[np.float64]) -> NDArray[np.float64]:
        shifted = np.exp(output - output.max(axis=1, keepdims=True))
        return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
