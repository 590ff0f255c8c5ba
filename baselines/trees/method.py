"""Boosted trees on features: XGBoost or LightGBM over any composition of feature blocks, for every type of task.

One recipe for all tasks: small trees, few columns each, a slow learning rate, the mean of a few seeds. Where two ways are
good on different tasks (absolute error or that of square roots; training as fresh as it is or as stale as later examples)
boosters are fitted both ways and averaged: a few hundred validation examples do not tell which is better.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError, nearest
from relbench_harness.features.block import Block, Features, FeatureUnion, within
from relbench_harness.features.cached import KnownFeatures
from relbench_harness.features.handwritten import SqlFeatures
from relbench_harness.features.selected import Screening, Selection, fit_selected
from relbench_harness.protocol.method import Budget, Countdown, Examples, Method, Predictor
from relbench_harness.temporal.staleness import staleness_of
from relbench_harness.timing import phase

from ..recommendation.candidates import Candidates
from ..recommendation.ranker import Ranker
from .booster import TreeParameters
from .dataset import TreeDataset, concatenated, labelled, sampled, sampled_rows
from .ensemble import Ensemble, fit_ensemble
from .feature_selection import column_gains
from .fitted import FittedTrees
from .objectives import Objective, RegressionError, objectives_for
from .staleness import Staleness, TrainingViews, View

SCREENING_SHARE = 0.4
"""Share of the budget's seconds after which no further candidate columns are computed."""
SELECTION_ROWS = 10_000
"""Features are selected on so many training examples."""


@dataclass(frozen=True)
class BoostedTrees(TreeParameters):
    """Boosted trees on the columns that `features` make.

    Attributes:
        features: Feature blocks; their columns stand side by side.
        ensemble_size: How many boosters, differing by seed, are averaged. Their margins are, which contributions need.
        error: What a regression minimises: `absolute` or `squared` error, `root` (squared error of square roots), or `blend`,
            the mean of answers by `absolute` and by `root`.
        quantiles: Regression only: levels to predict instead of one value; `predict` then gives the most central one.
        staleness: How old training examples see the database: as they are (`fresh`), as old as validation does (`stale`),
            both (`mixed`), or half of the boosters fresh and half mixed (`blend`).
        max_features: Of more columns than this, those with the greatest gain in a quick booster are kept.
        max_rows: More training examples than this are sampled.
        ranker: What answers recommendation tasks; the trees of a `Ranker` have the parameters given here, but for its own library.
    """

    features: Sequence[Block] = ()
    ensemble_size: int = 3
    error: RegressionError = "blend"
    quantiles: Sequence[float] = ()
    staleness: Staleness = "blend"
    max_features: int = 200
    max_rows: int = 200_000
    ranker: Method = field(default_factory=Ranker)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ensemble_size < 1:
            raise InputError(f"boosted trees average at least 1 booster, not ensemble_size={self.ensemble_size}")
        for name, known in (("error", get_args(RegressionError)), ("staleness", get_args(Staleness))):
            if (chosen := getattr(self, name)) not in known:
                raise InputError(f"boosted trees know no {name}={chosen!r}; {nearest(str(chosen), known)}")
        if any(not 0 < level < 1 for level in self.quantiles):
            raise InputError(f"quantiles lie between 0 and 1, got {list(self.quantiles)}")

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Predictor:
        if train.task.type is TaskType.RECOMMENDATION:
            return self._ranker().fit(train, valid, budget)
        countdown = Countdown(budget)
        views = TrainingViews.of(self.staleness, staleness_of(valid), self.max_rows)
        shown, valid = views.examples(train, budget.seed), labelled(valid)
        objectives = objectives_for(train, self.error, self.quantiles)
        selection = self._select_features(shown, valid, objectives, countdown.part(SCREENING_SHARE))
        *parts, held = map(TreeDataset.of, selection.features, [*shown, valid])
        most = (self.n_estimators,) * self.ensemble_size
        ensembles: dict[View, tuple[Ensemble, ...]] = {}
        waiting = len(views.views) * len(objectives)
        for view, data in views.datasets(parts).items():
            for i, objective in enumerate(objectives):
                # the features of examples to predict cost about as much again
                part = countdown.part(1 / waiting, reserve=selection.seconds)
                ensemble = fit_ensemble(self, objective, data.output(i), held.output(i), most, part)
                ensembles[view] = (*ensembles.get(view, ()), ensemble)
                waiting -= 1
        known = KnownFeatures(selection.block, valid, selection.features[-1])
        notes = {"left_out": list(selection.left_out)} if selection.left_out else {}
        return FittedTrees(self, known, objectives, ensembles, views, budget, notes)

    def _ranker(self) -> Method:
        """The ranker with these trees, reading a hand-written query where the features are one."""
        if not isinstance(self.ranker, Ranker):
            return self.ranker
        patience = min(self.ranker.trees.early_stopping_rounds, self.early_stopping_rounds)
        queries = [block for block in self.features if isinstance(block, SqlFeatures)]
        candidates: Candidates = queries[0] if queries else self.ranker.candidates
        trees = replace(self, library=self.ranker.trees.library, early_stopping_rounds=patience)
        return replace(self.ranker, trees=trees, candidates=candidates)

    def _select_features(
        self, shown: Sequence[Examples], valid: Examples, objectives: Sequence[Objective], budget: Budget
    ) -> Selection:
        """The columns worth having, and their values for `shown` and `valid`."""
        many, most = len(shown[0]) > SELECTION_ROWS, SELECTION_ROWS // len(shown)
        looked = [sampled(view, most, budget.seed) for view in shown] if many else shown
        some = sampled_rows(len(looked[0]), most, budget.seed)

        def gains(found: Sequence[Features]) -> NDArray[np.float64]:
            views = zip(found, looked, strict=True)
            rows = concatenated([TreeDataset.of(features.take(some), examples.take(some)) for features, examples in views])
            with phase("fit"):
                return column_gains(self, objectives, rows, budget)

        union = FeatureUnion(tuple(within(block, budget.memory) for block in self.features))
        with phase("features"):
            seconds = math.inf if budget.seconds is None else budget.seconds
            screening = Screening(gains, self.max_features, len(shown), seconds)
            return fit_selected(union, [*shown, valid], looked if many else None, screening)
