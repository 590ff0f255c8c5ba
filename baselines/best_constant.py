"""The one best constant answer: what every method starts from or falls back to is derived from it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def best_constant(
    labels: NDArray[np.float64],
    classes: int = 0,
    smoothing: float = 0.0,
    quantile: float | None = None,
    majority: bool = False,
) -> NDArray[np.float64]:
    """The best constant answer to `labels`.

    Args:
        labels: (n,) numbers, 0 and 1 among them, or class indices, negative where a class is not known; (n, outputs).
        classes: How many classes there are; 0 where labels are numbers.
        smoothing: Examples added to each class, or to each of 0 and 1, so that no share is 0 or 1.
        quantile: Of numbers, the level that pinball loss asks for: 0.5 for absolute error. None takes the mean.
        majority: Certainty of the more frequent of 0 and 1, or of the most frequent class, in the place of shares.

    Returns:
        (classes,) shares; or a number, the mean, share of ones or quantile, for each output: shape () or (outputs,).
    """
    if classes:
        counts = np.bincount(labels[labels >= 0].astype(np.int64), minlength=classes) + smoothing
        return np.eye(classes)[counts.argmax()] if majority else np.asarray(counts / (counts.sum() or 1.0))
    if quantile is not None:
        return np.asarray(np.median(labels, axis=0) if quantile == 0.5 else np.quantile(labels, quantile, axis=0))
    share = np.asarray((labels.sum(axis=0) + smoothing) / (len(labels) + 2 * smoothing))
    return (share > 0.5).astype(np.float64) if majority else share
