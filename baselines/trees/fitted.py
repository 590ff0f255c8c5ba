"""Fitted boosted trees: predictions, quantiles, contributions, and a refit on more labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from relbench_harness.errors import InputError
from relbench_harness.features.block import Features, FittedBlock, transform_many
from relbench_harness.features.contributions import Contributions
from relbench_harness.features.copied_rows import Answering, reading_copies
from relbench_harness.protocol.method import Budget, Examples
from relbench_harness.timing import phase

from .booster import TreeParameters
from .dataset import TreeDataset
from .ensemble import Ensemble, fit_ensemble
from .objectives import Objective, to_predictions
from .staleness import TrainingViews, View


@dataclass(frozen=True)
class FittedTrees:
    """Fitted boosters and the features that they read.

    Attributes:
        notes: `left_out`, the feature blocks for which there was no time.
        ensembles: For each view of the training examples one ensemble per objective; margins are averaged over the views.
    """

    parameters: TreeParameters
    block: FittedBlock
    objectives: tuple[Objective, ...]
    ensembles: Mapping[View, tuple[Ensemble, ...]]
    views: TrainingViews
    budget: Budget
    notes: Mapping[str, object] = field(default_factory=dict)

    def predict(self, examples: Examples) -> NDArray[np.float64]:
        return to_predictions(examples.task.type, self.objectives, self.margins(examples))

    def refit(self, examples: Examples) -> FittedTrees:
        """The same fitted again on more labels; features, numbers of trees and all else that was chosen stay."""
        shown = self.views.examples(examples, self.budget.seed)
        with phase("features"):
            parts = list(map(TreeDataset.of, transform_many(self.block, shown), shown))
        ensembles = {}
        for view, data in self.views.datasets(parts).items():
            ensembles[view] = tuple(
                fit_ensemble(self.parameters, objective, data.output(i), None, ensemble.n_estimators, self.budget)
                for i, (objective, ensemble) in enumerate(zip(self.objectives, self.ensembles[view], strict=True))
            )
        return replace(self, ensembles=ensembles)

    def for_copies(self, whole: Examples) -> Answering:
        """See `CopyPredictor`: of features, a network's states alone read statistics over whole tables."""
        reader = reading_copies(self.block, whole)
        return lambda examples, sources: replace(self, block=reader(sources)).predict(examples)

    def quantiles(self, examples: Examples) -> NDArray[np.float64]:
        """(n, levels) the quantiles that `BoostedTrees.quantiles` asks for, ascending in each row."""
        if self.objectives[0].loss != "quantile":
            raise InputError("these boosted trees were fitted without quantiles; set quantiles: [0.1, 0.5, 0.9], say")
        return np.sort(self.margins(examples), axis=1)

    def margins(self, examples: Examples) -> NDArray[np.float64]:
        """(n, outputs) answers before the link: what contributions add up to."""
        values = self._features(examples).to_matrix()
        views = [[ensemble.margins(values) for ensemble in view] for view in self.ensembles.values()]
        return np.asarray(np.mean([np.concatenate(outputs, axis=1) for outputs in views], axis=0))

    def contributions(self, examples: Examples) -> Contributions:
        """SHAP values by the library's own exact algorithm for trees."""
        features = self._features(examples)
        values = features.to_matrix()
        views = [[ensemble.contributions(values) for ensemble in view] for view in self.ensembles.values()]
        found = np.mean([np.concatenate(outputs, axis=1) for outputs in views], axis=0)
        origins = tuple(column.origins for column in features.columns)
        return Contributions(tuple(features.names), found[:, :, :-1], found[:, :, -1], origins)

    def _features(self, examples: Examples) -> Features:
        with phase("features"):
            return self.block.transform(examples)
