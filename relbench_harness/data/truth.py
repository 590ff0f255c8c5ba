"""What the generator of a synthetic dataset knows about labels. No method is ever shown it; only the board asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.random import Generator
from numpy.typing import NDArray


@dataclass(frozen=True)
class Truth:
    """The distribution of the labels of some examples, given every row that is visible to them.

    Attributes:
        answers: The best answers in the task's primary metric, in the shape that a predictor gives: (n,) probabilities of
            a binary task; (n,) medians of a regression task, which no other answer beats in mean absolute error; (n, k)
            items by falling probability; (n, classes) whose largest is the class to name.
        draw: New labels from the same distribution, (n,) as a label table's target column.
        expectation: (n,) expected labels of a regression task, (n, classes) probabilities of a multiclass task: what no
            other answer beats in squared error and log loss.
        classes: The classes of a multiclass task, in the order of the columns of `answers`.
    """

    answers: NDArray[np.generic]
    draw: Callable[[Generator], pa.Array]
    expectation: NDArray[np.float64] | None = None
    classes: tuple[str, ...] = ()
