"""From labels to a loss, and from a network's output back to answers, for every task type but recommendation."""

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


class Answer(Protocol):
    """What a network's output means. `width` is how many outputs it needs, `start` what they begin at."""

    @property
    def width(self) -> int: ...
    @property
    def start(self) -> NDArray[np.float64]: ...
    def loss(self, output: Tensor, labels: Tensor) -> Tensor: ...
    def decode(self, output: NDArray[np.float64]) -> NDArray[np.float64]: ...


def answer_for(train: Examples) -> Answer:
    """The answer that `train`'s task type asks for, fitted to its labels."""
    kind, labels = train.task.type, train.values
    if kind is TaskType.REGRESSION:
        return Amount.of(labels)
    if kind is TaskType.MULTICLASS:
        return Classes.of(labels.astype(np.int64), len(train.classes))
    return Chances.of(labels.reshape(len(labels), -1), flat=kind is TaskType.BINARY)


@dataclass(frozen=True)
class Amount:
    """A number, learned by its median, which is what the mean absolute error asks for.

    The network works on a scale that is linear near the middle of the labels and logarithmic far from it (asinh), so that a
    few huge labels do not drown the others. Medians pass through it unharmed; half of the loss is the error itself.
    """

    middle: float
    spread: float
    error: float
    low: float
    high: float
    width: int = 1

    @classmethod
    def of(cls, labels: NDArray[np.float64]) -> Amount:
        middle = float(np.median(labels))
        spread = float(np.quantile(labels, 0.9) - np.quantile(labels, 0.1)) / 2 or float(labels.std()) or 1.0
        error = float(np.abs(labels - middle).mean()) or 1.0
        return cls(middle, spread, error, float(labels.min()), float(labels.max()))

    @property
    def start(self) -> NDArray[np.float64]:
        return np.zeros(1)

    def loss(self, output: Tensor, labels: Tensor) -> Tensor:
        z = output[:, 0].float()
        truth = (labels - self.middle) / self.spread
        curved = (z - torch.asinh(truth)).abs().mean()
        straight = (torch.sinh(z.clamp(-12, 12)) - truth).abs().mean() * (self.spread / self.error)
        return 0.5 * curved + 0.5 * straight

    def decode(self, output: NDArray[np.float64]) -> NDArray[np.float64]:
        amount = self.middle + self.spread * np.sinh(output[:, 0].clip(-12, 12))
        return np.asarray(np.clip(amount, self.low, self.high))


@dataclass(frozen=True)
class Chances:
    """Independent probabilities: one of a binary task, one per label of a multilabel task."""

    start: NDArray[np.float64]
    flat: bool

    @classmethod
    def of(cls, labels: NDArray[np.float64], flat: bool) -> Chances:
        share = (labels.sum(0) + 0.5) / (len(labels) + 1)
        return cls(np.log(share / (1 - share)), flat)

    @property
    def width(self) -> int:
        return len(self.start)

    def loss(self, output: Tensor, labels: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(output.float(), labels.reshape(len(labels), -1))

    def decode(self, output: NDArray[np.float64]) -> NDArray[np.float64]:
        chance = 1 / (1 + np.exp(-output.clip(-50, 50)))
        return np.asarray(chance[:, 0] if self.flat else chance)


@dataclass(frozen=True)
class Classes:
    """One class of several; labels of −1 (a class unknown at training) teach nothing."""

    start: NDArray[np.float64]

    @classmethod
    def of(cls, labels: NDArray[np.int64], classes: int) -> Classes:
        counts = np.bincount(labels[labels >= 0], minlength=classes) + 0.5
        return cls(np.log(counts / counts.sum()))

    @property
    def width(self) -> int:
        return len(self.start)

    def loss(self, output: Tensor, labels: Tensor) -> Tensor:
        known = labels >= 0
        if not bool(known.any()):
            return output.sum() * 0.0
        return functional.cross_entropy(output[known].float(), labels[known].long())

    def decode(self, output: NDArray[np.float64]) -> NDArray[np.float64]:
        shifted = np.exp(output - output.max(axis=1, keepdims=True))
        return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
