"""Recommendation in two steps: candidates, ranked by boosted trees (LambdaMART).

LambdaMART (Burges 2010) learns from training questions which of their candidates were right. Where candidates come from is
a part of its own: the events behind the task (`candidates.py`) or a hand-written query.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import numpy as np
from numpy.typing import NDArray

from relbench_harness.errors import InputError
from relbench_harness.features.handwritten import FittedSqlFeatures, SqlFeatures
from relbench_harness.protocol.method import Budget, Examples, Predictor, Ragged
from relbench_harness.timing import phase

from .boosting import Bag, Growth, Matrix, Target, grow_bag
from .candidates import Candidates, FittedCandidates, Pairs, Sources


@dataclass(frozen=True)
class Ranker(Growth):
    """Candidates, then LambdaMART.

    Attributes:
        candidates: Where candidates and their features come from.
        bags: How many forests, differing by seed, are averaged.
        negatives: Wrong candidates kept per training question, drawn at random.
        most_pairs: Training stops adding older questions at so many pairs.
    """

    patience: int = 40
    candidates: Candidates = field(default_factory=Sources)
    bags: int = 1
    negatives: int = 60
    most_pairs: int = 400_000

    def grown_as(self, growth: Growth) -> Ranker:
        """This ranker with trees grown as `growth` says, its own patience at most."""
        taken = {f.name: getattr(growth, f.name) for f in fields(Growth)}
        return replace(self, **taken | {"patience": min(self.patience, growth.patience)})

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Predictor:
        if train.task.item_table is None:
            raise InputError(f"task {train.task.id} is no recommendation, so there are no items to rank")
        with phase("features"):
            candidates = self.candidates.fit(train)
            rows = self._training(train, candidates, budget)
            held = _ranking(candidates.pairs(valid), valid)
        target = Target("rank", cutoff=train.task.eval_k or 10)
        with phase("fit"):
            bag = grow_bag(self, target, rows, held, (self.rounds,) * self.bags, budget)
        return FittedRanker(self, target, candidates, bag, budget)

    def again(self, fitted: FittedRanker, examples: Examples) -> FittedRanker:
        """`fitted` grown again on more labels with the same number of rounds."""
        with phase("features"):
            rows = self._training(examples, fitted.candidates, fitted.budget)
        with phase("fit"):
            bag = grow_bag(self, fitted.target, rows, None, fitted.bag.rounds, fitted.budget)
        return replace(fitted, bag=bag)

    def _training(self, examples: Examples, candidates: FittedCandidates, budget: Budget) -> Matrix:
        """Pairs of the latest questions, each with its right candidates and some of the wrong ones."""
        random = np.random.default_rng([budget.seed, 11])
        parts: list[Matrix] = []
        for asked in _latest_first(examples):
            pairs = candidates.pairs(asked)
            right = relevant(pairs, asked.lists)
            keep = right | (random.random(len(right)) < self._share(pairs, right))
            # a question whose right answers are no candidates teaches nothing
            keep &= np.bincount(pairs.question, weights=right, minlength=len(asked))[pairs.question] > 0
            parts.append(_ranking(pairs.take(np.flatnonzero(keep)), asked))
            if sum(len(part.labels) for part in parts) >= self.most_pairs:
                break
        return Matrix(
            np.concatenate([part.values for part in parts]),
            np.concatenate([part.labels for part in parts]),
            parts[0].categorical,
            np.concatenate([part.groups for part in parts if part.groups is not None]),
        )

    def _share(self, pairs: Pairs, right: NDArray[np.bool_]) -> float:
        """The share of wrong candidates that leaves about `negatives` of them to each question."""
        questions = max(len(np.unique(pairs.question)), 1)
        return min(1.0, self.negatives * questions / max(int((~right).sum()), 1))


@dataclass(frozen=True)
class FittedRanker:
    """Grown trees over candidates."""

    method: Ranker
    target: Target
    candidates: FittedCandidates
    bag: Bag
    budget: Budget

    def predict(self, questions: Examples) -> NDArray[np.int64]:
        """(n, eval_k) row numbers of the items ranked first; −1 where a question has no further candidate."""
        with phase("features"):
            pairs = self.candidates.pairs(questions)
        with phase("predict"):
            margins = self.bag.margins(pairs.values)[:, 0]
            best = np.lexsort((pairs.item, -margins, pairs.question))
            question = pairs.question[best]
            rank = np.arange(len(best)) - np.searchsorted(question, question)
            k = questions.task.eval_k or 1
            answer = np.full((len(questions), k), -1, dtype=np.int64)
            first = rank < k
            answer[question[first], rank[first]] = pairs.item[best[first]]
            return answer

    def refit(self, examples: Examples) -> FittedRanker:
        return self.method.again(self, examples)


@dataclass(frozen=True)
class QueryCandidates:
    """Candidates that a hand-written query returns."""

    query: SqlFeatures

    def fit(self, train: Examples) -> FittedQueryCandidates:
        return FittedQueryCandidates(self.query.fit(train))


@dataclass(frozen=True)
class FittedQueryCandidates:
    query: FittedSqlFeatures

    def pairs(self, questions: Examples) -> Pairs:
        question, item, features = self.query.pairs(questions)
        return Pairs(question, item, features.to_matrix(), tuple(features.names), features.native)


def relevant(pairs: Pairs, truth: Ragged) -> NDArray[np.bool_]:
    """(p,) whether the pair's item is among its question's right answers."""
    owner = np.repeat(np.arange(len(truth.offsets) - 1), np.diff(truth.offsets))
    width = int(max(truth.values.max(initial=0), pairs.item.max(initial=0))) + 1
    return np.isin(pairs.question * width + pairs.item, owner * width + truth.values)


def _latest_first(examples: Examples, most: int = 5_000) -> list[Examples]:
    """The examples in portions of whole cut-offs, at least `most` questions each but the last, the latest ones first."""
    order = np.argsort(-examples.cutoff, kind="stable")
    cutoff = examples.cutoff[order]
    ends = np.flatnonzero(np.append(cutoff[1:] != cutoff[:-1], True)) + 1
    portions, start = [], 0
    for end in ends:
        if end - start >= most or end == len(order):
            portions.append(examples.take(np.sort(order[start:end])))
            start = int(end)
    return portions


def _ranking(pairs: Pairs, examples: Examples) -> Matrix:
    """Pairs as trees learn them: relevance 1 or 0, grouped by question."""
    groups = np.unique(pairs.question, return_counts=True)[1].astype(np.int64)
    return Matrix(pairs.values, relevant(pairs, examples.lists).astype(np.float64), pairs.categorical, groups)
