"""Fitted boosted trees: predictions, quantiles, contributions, and a refit on more labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from relbench_harness.errors import InputError
from relbench_harness.features.block import Features, FittedBlock, transform_many
from relbench_harness.protocol.method import Budget, Examples
from relbench_harness.timing import phase

from .booster import TreeParameters
from .dataset import Real, TreeDataset
from .ensemble import Ensemble, fit_ensemble, mean
from .objectives import Objective, to_predictions
from .staleness import TrainingViews, View


@dataclass(frozen=True)
class Head:
    """An objective and the ensembles fitted for it, one for each view of the training examples."""

    objective: Objective
    ensembles: Mapping[View, Ensemble]

    def margins(self, values: Real) -> NDArray[np.float64]:
        return mean([ensemble.margins(values) for ensemble in self.ensembles.values()])

    def contributions(self, values: Real) -> NDArray[np.float64]:
        return mean([ensemble.contributions(values) for ensemble in self.ensembles.values()])

    def refit(self, parameters: TreeParameters, views: Mapping[View, TreeDataset], budget: Budget) -> Head:
        """The same number of trees, fitted to other data."""
        ensembles = {
            view: fit_ensemble(parameters, self.objective, views[view], None, ensemble.n_estimators, budget)
            for view, ensemble in self.ensembles.items()
        }
        return replace(self, ensembles=ensembles)


@dataclass(frozen=True)
class Contributions:
    """What each feature adds to each answer, before the link (log odds for probabilities, square roots for `root`).

    Attributes:
        names: The f features.
        values: (n, outputs, f) SHAP values of the trees (Lundberg et al. 2020), the mean over the boosters.
        base: (n, outputs) the answer without any feature; `base + values.sum(-1)` is the margin.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    base: NDArray[np.float64]


@dataclass(frozen=True)
class FittedTrees:
    """Fitted boosters and the features that they read."""

    parameters: TreeParameters
    block: FittedBlock
    heads: tuple[Head, ...]
    views: TrainingViews
    budget: Budget

    def predict(self, examples: Examples) -> NDArray[np.float64]:
        values = self._features(examples).to_matrix()
        with phase("predict"):
            margins = self._margins(values)
            return to_predictions(examples.task.type, [head.objective for head in self.heads], margins)

    def refit(self, examples: Examples) -> FittedTrees:
        """The same fitted again on more labels; features, numbers of trees and all else that was chosen stay."""
        shown = self.views.examples(examples, self.budget.seed)
        with phase("features"):
            features = transform_many(self.block, shown)
        data = self.views.datasets(list(map(TreeDataset.of, features, shown)))
        with phase("fit"):
            heads = tuple(
                head.refit(self.parameters, {view: rows.output(number) for view, rows in data.items()}, self.budget)
                for number, head in enumerate(self.heads)
            )
        return replace(self, heads=heads)

    def quantiles(self, examples: Examples) -> NDArray[np.float64]:
        """(n, levels) the quantiles that `BoostedTrees.quantiles` asks for, ascending in each row."""
        if any(head.objective.loss != "quantile" for head in self.heads):
            raise InputError("these boosted trees were fitted without quantiles; set quantiles: [0.1, 0.5, 0.9], say")
        return np.sort(self.margins(examples), axis=1)

    def contributions(self, examples: Examples) -> Contributions:
        """SHAP values by the library's own exact algorithm for trees."""
        features = self._features(examples)
        values = features.to_matrix()
        found = np.concatenate([head.contributions(values) for head in self.heads], axis=1)
        return Contributions(tuple(features.names), found[:, :, :-1], found[:, :, -1])

    def margins(self, examples: Examples) -> NDArray[np.float64]:
        """(n, outputs) answers before the link: what contributions add up to."""
        return self._margins(self._features(examples).to_matrix())

    def _margins(self, values: Real) -> NDArray[np.float64]:
        return np.concatenate([head.margins(values) for head in self.heads], axis=1)

    def _features(self, examples: Examples) -> Features:
        with phase("features"):
            return self.block.transform(examples)
