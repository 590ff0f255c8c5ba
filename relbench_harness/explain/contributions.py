"""What trees' own contributions (SHAP values) say of tables, paths and columns.

Invariant: base and amounts of one kind, with what is no table's, add up to the margin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from relbench_harness.errors import InputError
from relbench_harness.explain.attribution import mean_sizes, signed
from relbench_harness.explain.explanation import Explanation, Kind, Level
from relbench_harness.explain.outputs import check_values, same_again
from relbench_harness.features.contributions import Contributions
from relbench_harness.protocol.audit.scenes import sampled
from relbench_harness.protocol.method import Examples, Predictor


@runtime_checkable
class Contributing(Protocol):
    """A predictor whose features add up to its answers."""

    def contributions(self, examples: Examples) -> Contributions: ...


@dataclass(frozen=True)
class FeatureContributions:
    """Contributions of features, mapped back to the columns that they rest on.

    Of several outputs those of the greatest margin are taken, example by example.

    Attributes:
        most: At model level at most so many examples are read.
    """

    kinds: Sequence[Kind] = ("table", "path", "column", "hop")
    most: int = 2000
    seed: int = 0
    name: str = "contributions"

    def explain(self, predictor: Predictor, examples: Examples, level: Level = "model") -> tuple[Explanation, ...]:
        """One explanation of the model, or one of each example.

        Raises:
            InputError: The predictor has no contributions.
        """
        check_values(examples)
        inner = same_again(predictor)
        if not isinstance(inner, Contributing):
            raise InputError(
                f"{type(inner).__name__} has no contributions of features; ablation and removal explain any method"
            )
        if level == "model":
            examples = examples.take(sampled(examples, self.most, self.seed))
        given = inner.contributions(examples)
        margins = given.base + given.values.sum(axis=-1)
        rows, output = np.arange(len(examples)), margins.argmax(axis=1)
        values, base, margin = given.values[rows, output], given.base[rows, output], margins[rows, output]
        if level == "model":
            amounts = mean_sizes(values, given.origins, self.kinds)
            return (Explanation("model", self.name, "margin", tuple(amounts), notes={"examples": len(examples)}),)
        return tuple(
            Explanation(
                level,
                self.name,
                "margin",
                tuple(signed(values[i], given.origins, self.kinds)),
                example=i,
                prediction=float(margin[i]),
                base=float(base[i]),
            )
            for i in range(len(examples))
        )
