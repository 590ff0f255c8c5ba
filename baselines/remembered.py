"""A fitted method that has answered some examples already: a run asks again for what a method was chosen by.

Invariant: an answer is remembered for equal examples about equal rows alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from relbench_harness.features.cached import same_examples
from relbench_harness.protocol.method import Examples, Predictor, refitted


@dataclass(frozen=True)
class Remembered:
    """`predictor`, and its `answer` to `examples`.

    Attributes:
        notes: What stands in the result.
    """

    predictor: Predictor
    examples: Examples
    answer: NDArray[np.generic]
    notes: Mapping[str, object] = field(default_factory=dict)

    def predict(self, examples: Examples) -> NDArray[np.generic]:
        return self.answer if same_examples(examples, self.examples) else self.predictor.predict(examples)

    def for_keeping(self) -> Predictor:
        """What a kept model holds: an answer that was given is no part of it."""
        return self.predictor

    def refit(self, examples: Examples) -> Predictor:
        """The same method fitted again on more labels."""
        return refitted(self.predictor, examples)
