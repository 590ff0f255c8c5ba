"""Recommendation in two steps: candidates, ranked by boosted trees (LambdaMART).

LambdaMART (Burges 2010) learns from training examples which of their candidates were right. Where candidates come from is
a part of its own: the interactions behind the task (`candidates.py`) or a hand-written query.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.distinct import distinct
from relbench_harness.errors import InputError
from relbench_harness.features.pair_features import rank_in_run
from relbench_harness.protocol.method import PREDICTIONS, Budget, Countdown, Examples, Predictor, Ragged
from relbench_harness.timing import phase

from ..remembered import Remembered
from ..trees.booster import TreeParameters
from ..trees.dataset import Real, TreeDataset, concatenated
from ..trees.ensemble import Ensemble, fit_ensemble
from ..trees.objectives import Objective
from .candidates import Candidates, FittedCandidates, InteractionCandidates, Pairs

PAIRS_SHARE = 0.5
"""Share of the seconds left that pairs of training examples may take."""
PORTION = 2_000
"""Training examples are read in portions of at least so many."""


@dataclass(frozen=True)
class Ranker:
    """Candidates, then LambdaMART.

    Attributes:
        trees: How boosters are fitted; LightGBM's ranks as well as XGBoost's or better, in less time.
        candidates: Where candidates and their features come from.
        ensemble_size: How many boosters, differing by seed, are averaged.
        negatives: Wrong candidates kept per training example, drawn at random.
        max_pairs: Training stops adding older examples at so many pairs.
    """

    trees: TreeParameters = field(default_factory=lambda: TreeParameters(library="lightgbm", early_stopping_rounds=40))
    candidates: Candidates = field(default_factory=InteractionCandidates)
    ensemble_size: int = 1
    negatives: int = 60
    max_pairs: int = 400_000

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Predictor:
        if train.task.item_table is None:
            raise InputError(f"task {train.task.id} is no recommendation, so there are no items to rank")
        countdown = Countdown(budget)
        with phase("features"):
            candidates = self.candidates.fit(train)
            pairs = candidates.pairs(valid)
            held = ranking_data(pairs, valid.lists)
            # those of validation are there already
            reserve = (PREDICTIONS - 1) * (time.monotonic() - countdown.begin)
            data = self.training_data(train, candidates, countdown.part(PAIRS_SHARE, reserve=reserve))
        objective = Objective("rank", top=train.task.eval_k or 10)
        most = (self.trees.n_estimators,) * self.ensemble_size
        ensemble = fit_ensemble(self.trees, objective, data, held, most, countdown.part(reserve=reserve))
        fitted = FittedRanker(self, candidates, ensemble, objective, budget)
        return Remembered(fitted, valid, fitted.ranked(valid, pairs[0], pairs[1], held.values))

    def training_data(self, examples: Examples, candidates: FittedCandidates, budget: Budget) -> TreeDataset:
        """Pairs of the latest examples, each with its right candidates and some of the wrong ones.

        Older examples are added until there are `max_pairs`, or the budget's seconds are too few for another portion.
        """
        random, countdown, longest = np.random.default_rng([budget.seed, 11]), Countdown(budget), 0.0
        parts: list[TreeDataset] = []
        for portion in latest_first(examples):
            start = time.monotonic()
            example, item, features = candidates.pairs(portion)
            right = relevant(example, item, portion.lists)
            share = self.negatives * max(len(distinct(example)), 1) / max(int((~right).sum()), 1)
            keep = right | (random.random(len(right)) < min(1.0, share))
            # an example whose right items are no candidates teaches nothing
            keep &= np.bincount(example, weights=right, minlength=len(portion))[example] > 0
            rows = np.flatnonzero(keep)
            parts.append(ranking_data((example[rows], item[rows], features.take(rows)), portion.lists))
            longest = max(longest, time.monotonic() - start)
            if sum(len(part.labels) for part in parts) >= self.max_pairs or countdown.left < longest:
                break
        return concatenated(parts)


@dataclass(frozen=True)
class FittedRanker:
    """Boosters over candidates."""

    method: Ranker
    candidates: FittedCandidates
    ensemble: Ensemble
    objective: Objective
    budget: Budget

    def predict(self, examples: Examples) -> NDArray[np.int64]:
        """(n, eval_k) row numbers of the items ranked first; −1 where an example has no further candidate."""
        with phase("features"):
            example, item, features = self.candidates.pairs(examples)
            values = features.to_matrix()
        return self.ranked(examples, example, item, values)

    def ranked(
        self, examples: Examples, example: NDArray[np.int64], item: NDArray[np.int64], values: Real
    ) -> NDArray[np.int64]:
        """The same from the candidates: (pairs,) their examples and items, (pairs, columns) their features."""
        best = np.lexsort((item, -self.ensemble.margins(values)[:, 0], example))
        rank = rank_in_run(example[best])
        answer = np.full((len(examples), examples.task.eval_k or 1), -1, dtype=np.int64)
        first = rank < answer.shape[1]
        answer[example[best[first]], rank[first]] = item[best[first]]
        return answer

    def refit(self, examples: Examples) -> FittedRanker:
        """The same fitted again on more labels, with the same number of trees."""
        with phase("features"):
            data = self.method.training_data(examples, self.candidates, self.budget)
        most = self.ensemble.n_estimators
        return replace(self, ensemble=fit_ensemble(self.method.trees, self.objective, data, None, most, self.budget))


def ranking_data(pairs: Pairs, truth: Ragged) -> TreeDataset:
    """Pairs as boosters learn them: relevance 1 or 0, grouped by example."""
    example, item, features = pairs
    groups = np.unique(example, return_counts=True)[1].astype(np.int64)
    labels = relevant(example, item, truth).astype(np.float64)
    return TreeDataset(features.to_matrix(), labels, features.native, groups)


def relevant(example: NDArray[np.int64], item: NDArray[np.int64], truth: Ragged) -> NDArray[np.bool_]:
    """(p,) whether each item is among the right items of its example."""
    owner = np.repeat(np.arange(len(truth.offsets) - 1), np.diff(truth.offsets))
    width = int(max(truth.values.max(initial=0), item.max(initial=0))) + 1
    return np.isin(example * width + item, owner * width + truth.values)


def latest_first(examples: Examples) -> Iterator[Examples]:
    """The examples in portions of whole cut-offs, at least `PORTION` in each but the last, the latest ones first."""
    order = np.argsort(-examples.cutoff, kind="stable")
    cutoff, start = examples.cutoff[order], 0
    for end in np.flatnonzero(np.append(cutoff[1:] != cutoff[:-1], True)) + 1:
        if end - start >= PORTION or end == len(order):
            yield examples.take(np.sort(order[start:end]))
            start = int(end)
