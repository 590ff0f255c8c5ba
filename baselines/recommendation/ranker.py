"""Recommendation in two steps: candidates, ranked by boosted trees (LambdaMART).

LambdaMART (Burges 2010) learns from training examples which of their candidates were right. Where candidates come from is
a part of its own: the interactions behind the task (`candidates.py`) or a hand-written query.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from relbench_harness.errors import InputError
from relbench_harness.features.handwritten import FittedSqlFeatures, SqlFeatures
from relbench_harness.protocol.method import Budget, Examples, Predictor, Ragged
from relbench_harness.timing import phase

from ..trees.booster import TreeParameters
from ..trees.dataset import TreeDataset, concatenated
from ..trees.ensemble import Ensemble, fit_ensemble
from ..trees.objectives import Objective
from .candidates import Candidates, FittedCandidates, InteractionCandidates, Pairs
from .pair_features import rank_in_run

PORTION = 5_000
"""Training examples are read in portions of at least so many."""


@dataclass(frozen=True)
class Ranker:
    """Candidates, then LambdaMART.

    Attributes:
        trees: How boosters are fitted.
        candidates: Where candidates and their features come from.
        ensemble_size: How many boosters, differing by seed, are averaged.
        negatives: Wrong candidates kept per training example, drawn at random.
        max_pairs: Training stops adding older examples at so many pairs.
    """

    trees: TreeParameters = field(default_factory=lambda: TreeParameters(early_stopping_rounds=40))
    candidates: Candidates = field(default_factory=InteractionCandidates)
    ensemble_size: int = 1
    negatives: int = 60
    max_pairs: int = 400_000

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Predictor:
        if train.task.item_table is None:
            raise InputError(f"task {train.task.id} is no recommendation, so there are no items to rank")
        with phase("features"):
            candidates = self.candidates.fit(train)
            rows = self._training(train, candidates, budget)
            held = dataset(candidates.pairs(valid), valid)
        objective = Objective("rank", top=train.task.eval_k or 10)
        with phase("fit"):
            most = (self.trees.n_estimators,) * self.ensemble_size
            ensemble = fit_ensemble(self.trees, objective, rows, held, most, budget)
        return FittedRanker(self, objective, candidates, ensemble, budget)

    def refit(self, fitted: FittedRanker, examples: Examples) -> FittedRanker:
        """`fitted` fitted again on more labels with the same number of trees."""
        with phase("features"):
            rows = self._training(examples, fitted.candidates, fitted.budget)
        with phase("fit"):
            most = fitted.ensemble.n_estimators
            ensemble = fit_ensemble(self.trees, fitted.objective, rows, None, most, fitted.budget)
        return replace(fitted, ensemble=ensemble)

    def _training(self, examples: Examples, candidates: FittedCandidates, budget: Budget) -> TreeDataset:
        """Pairs of the latest examples, each with its right candidates and some of the wrong ones."""
        random = np.random.default_rng([budget.seed, 11])
        parts: list[TreeDataset] = []
        for portion in latest_first(examples):
            pairs = candidates.pairs(portion)
            right = relevant(pairs, portion.lists)
            named = max(len(np.unique(pairs.example)), 1)
            share = min(1.0, self.negatives * named / max(int((~right).sum()), 1))
            keep = right | (random.random(len(right)) < share)
            # an example whose right items are no candidates teaches nothing
            keep &= np.bincount(pairs.example, weights=right, minlength=len(portion))[pairs.example] > 0
            parts.append(dataset(pairs.take(np.flatnonzero(keep)), portion))
            if sum(len(part.labels) for part in parts) >= self.max_pairs:
                break
        return concatenated(parts)


@dataclass(frozen=True)
class FittedRanker:
    """Boosters over candidates."""

    method: Ranker
    objective: Objective
    candidates: FittedCandidates
    ensemble: Ensemble
    budget: Budget

    def predict(self, examples: Examples) -> NDArray[np.int64]:
        """(n, eval_k) row numbers of the items ranked first; −1 where an example has no further candidate."""
        with phase("features"):
            pairs = self.candidates.pairs(examples)
        with phase("predict"):
            margins = self.ensemble.margins(pairs.values)[:, 0]
            best = np.lexsort((pairs.item, -margins, pairs.example))
            rank = rank_in_run(pairs.example[best])
            answer = np.full((len(examples), examples.task.eval_k or 1), -1, dtype=np.int64)
            first = best[rank < answer.shape[1]]
            answer[pairs.example[first], rank[rank < answer.shape[1]]] = pairs.item[first]
            return answer

    def refit(self, examples: Examples) -> FittedRanker:
        return self.method.refit(self, examples)


@dataclass(frozen=True)
class QueryCandidates:
    """Candidates that a hand-written query returns."""

    query: SqlFeatures

    def fit(self, train: Examples) -> FittedQueryCandidates:
        return FittedQueryCandidates(self.query.fit(train))


@dataclass(frozen=True)
class FittedQueryCandidates:
    query: FittedSqlFeatures

    def pairs(self, examples: Examples) -> Pairs:
        return Pairs.of(*self.query.pairs(examples))


def relevant(pairs: Pairs, truth: Ragged) -> NDArray[np.bool_]:
    """(p,) whether the pair's item is among its example's right items."""
    owner = np.repeat(np.arange(len(truth.offsets) - 1), np.diff(truth.offsets))
    width = int(max(truth.values.max(initial=0), pairs.item.max(initial=0))) + 1
    return np.isin(pairs.example * width + pairs.item, owner * width + truth.values)


def latest_first(examples: Examples) -> Iterator[Examples]:
    """The examples in portions of whole cut-offs, at least `PORTION` in each but the last, the latest ones first."""
    order = np.argsort(-examples.cutoff, kind="stable")
    cutoff, start = examples.cutoff[order], 0
    for end in np.flatnonzero(np.append(cutoff[1:] != cutoff[:-1], True)) + 1:
        if end - start >= PORTION or end == len(order):
            yield examples.take(np.sort(order[start:end]))
            start = int(end)


def dataset(pairs: Pairs, examples: Examples) -> TreeDataset:
    """Pairs as boosters learn them: relevance 1 or 0, grouped by example."""
    groups = np.unique(pairs.example, return_counts=True)[1].astype(np.int64)
    labels = relevant(pairs, examples.lists).astype(np.float64)
    return TreeDataset(pairs.values, labels, pairs.categorical, groups)
