"""Boosted trees on features: XGBoost or LightGBM over any composition of feature blocks, for every type of task.

One recipe for all tasks: small trees, few columns each, a slow learning rate, the mean of a few seeds, and early
stopping on validation. What is open beyond that (squared or absolute error; training on stale history or fresh) is
decided on validation labels or inside the training data, never later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError, nearest
from relbench_harness.features.block import Block, Features, FittedBlock, Together, compute_many
from relbench_harness.features.handwritten import SqlFeatures
from relbench_harness.protocol.method import Budget, Examples, Predictor
from relbench_harness.timing import phase

from .boosting import Bag, Growth, Matrix, Real, Target, grow_bag
from .quality import quality
from .ranker import QueryCandidates, Ranker
from .selection import ROWS, Remembered, Selected, best_columns
from .staleness import CHOICES, Gaps, Staleness, aged, gaps, origins

REHEARSED_ROUNDS = 150


@dataclass(frozen=True)
class BoostedTrees(Growth):
    """Boosted trees on the columns that `features` make.

    Attributes:
        features: Feature blocks; their columns stand side by side.
        bags: How many forests, differing by seed, are averaged.
        error: What a regression minimises: `squared` or `absolute` error, or `auto`, whichever validation prefers.
        quantiles: Regression only: levels to predict instead of one value; `predict` then gives the most central one.
        staleness: How old training questions see the database: as they are (`fresh`), as old as later questions will
            see it (`stale`), `mixed`, or `auto`: what rehearsals inside the training data prefer.
        rehearsals: How many origins inside the training data `auto` looks at.
        most_features: Of more columns than this, those with the greatest gain in a quick forest are kept.
        most_rows: More training questions than this are sampled.
        ranker: What answers recommendation tasks; how its trees grow is taken from here.
    """

    features: Sequence[Block] = ()
    bags: int = 3
    error: Literal["auto", "squared", "absolute"] = "auto"
    quantiles: Sequence[float] = ()
    staleness: Literal["auto", "fresh", "stale", "mixed"] = "auto"
    rehearsals: int = 2
    most_features: int = 200
    most_rows: int = 200_000
    ranker: Ranker = field(default_factory=Ranker)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bags < 1:
            raise InputError(f"boosted trees average at least 1 forest, not bags={self.bags}")
        for name, chosen, known in (
            ("error", self.error, ("auto", "squared", "absolute")),
            ("staleness", self.staleness, ("auto", *CHOICES)),
        ):
            if chosen not in known:
                raise InputError(f"boosted trees know no {name}={chosen!r}; {nearest(str(chosen), known)}")
        if any(not 0 < level < 1 for level in self.quantiles):
            raise InputError(f"quantiles lie between 0 and 1, got {list(self.quantiles)}")

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Predictor:
        if train.task.type is TaskType.RECOMMENDATION:
            return self._ranker().fit(train, valid, budget)
        train, valid = sampled(labelled(train), self.most_rows, budget.seed), labelled(valid)
        ages = gaps(valid)
        block = self._block(train, ages, budget)
        staleness = self._staleness(train, valid, ages, block, budget)
        shown = aged(train, ages, staleness, budget.seed)
        rows, held = matrices(block, [shown, valid])
        with phase("fit"):
            heads = self._chosen_heads(rows, held, valid, budget)
        return FittedTrees(self, block, heads, staleness, ages, budget)

    def remembering(self) -> BoostedTrees:
        """This method with features that are computed once for any questions, however often it is fitted."""
        if any(isinstance(block, SqlFeatures) for block in self.features):
            return self
        return replace(self, features=tuple(Remembered(block) for block in self.features))

    def _ranker(self) -> Ranker:
        """The ranker with this method's trees, reading a hand-written query where the features are one."""
        ranker = self.ranker.grown_as(self)
        for block in self.features:
            if isinstance(block, SqlFeatures):
                return replace(ranker, candidates=QueryCandidates(block))
        return ranker

    def _block(self, train: Examples, ages: Gaps, budget: Budget) -> FittedBlock:
        """The fitted blocks, cut down to the columns worth having."""
        with phase("features"):
            fitted = Together(tuple(self.features)).fit(train)
            sample = sampled(train, ROWS, budget.seed)
            if ages.max(initial=0) > 0:
                sample = sampled(aged(sample, ages, "mixed", budget.seed), ROWS, budget.seed)
            each = [block.compute(sample) for block in fitted.blocks]
        features = reduce(Features.concat, each, Features(len(sample), ()))
        if len(features.columns) <= self.most_features:
            return fitted
        with phase("fit"):
            rows = Rows.of(features, sample)
            goals = targets(self, sample)
            heads = [rows.matrix(number) for number in range(len(goals))]
            kept = best_columns(self, goals, heads, self.most_features, budget)
        return Selected.of(fitted.blocks, [part.names for part in each], kept)

    def _staleness(self, train: Examples, valid: Examples, ages: Gaps, block: FittedBlock, budget: Budget) -> Staleness:
        """How to show the training questions; fresh where later questions are not stale.

        Each way is judged by questions as stale as those to come: rehearsals inside the training data, and validation. The
        number of rounds is the same for all, so that no way is helped by a lucky stop.
        """
        if self.staleness != "auto":
            return self.staleness
        if not ages.max(initial=0) > 0:
            return "fresh"
        rehearsed = [(np.arange(len(train)), valid), *origins(train, ages, self.rehearsals)]
        ways = [aged(train, ages, "fresh", budget.seed), aged(train, ages, "stale", budget.seed)]
        fresh, stale, *asked = matrices(block, [*ways, *(questions for _, questions in rehearsed)])
        points = dict.fromkeys(CHOICES, 0.0)
        goals = targets(replace(self, error="absolute"), train)
        for (before, questions), held in zip(rehearsed, asked, strict=True):
            shown: dict[Staleness, Rows] = {"fresh": fresh.take(before), "stale": stale.take(before)}
            shown["mixed"] = shown["fresh"].then(shown["stale"])
            for way, rows in shown.items():
                with phase("tune"):
                    heads = self._heads(goals, rows, None, (min(self.rounds, REHEARSED_ROUNDS),), budget)
                    points[way] += quality(questions, answers(questions, heads, held.values))
        return max(CHOICES, key=lambda way: points[way])

    def _chosen_heads(self, train: Rows, valid: Rows, held: Examples, budget: Budget) -> tuple[Head, ...]:
        """The heads of the task; of a regression's two errors the one that validation prefers."""
        if held.task.type is not TaskType.REGRESSION or self.quantiles or self.error != "auto":
            return self._heads(targets(self, held), train, valid, (self.rounds,) * self.bags, budget)
        found = [
            self._heads(targets(replace(self, error=error), held), train, valid, (self.rounds,), budget)
            for error in ("absolute", "squared")
        ]
        best = max(found, key=lambda heads: quality(held, answers(held, heads, valid.values)))
        rest = self._heads([head.target for head in best], train, valid, (self.rounds,) * self.bags, budget, skip=1)
        return tuple(
            Head(head.target, Bag(head.bag.forests + more.bag.forests)) for head, more in zip(best, rest, strict=True)
        )

    def _heads(
        self,
        goals: Sequence[Target],
        train: Rows,
        valid: Rows | None,
        rounds: Sequence[int],
        budget: Budget,
        skip: int = 0,
    ) -> tuple[Head, ...]:
        heads = []
        for number, goal in enumerate(goals):
            held = None if valid is None else valid.matrix(number)
            heads.append(Head(goal, grow_bag(self, goal, train.matrix(number), held, tuple(rounds), budget, skip)))
        return tuple(heads)

    def again(self, fitted: FittedTrees, examples: Examples) -> FittedTrees:
        """`fitted` grown again on more labels; features, rounds and all else that was chosen stay."""
        examples = sampled(labelled(examples), self.most_rows, fitted.budget.seed)
        (rows,) = matrices(fitted.block, [aged(examples, fitted.ages, fitted.staleness, fitted.budget.seed)])
        with phase("fit"):
            heads = tuple(
                Head(old.target, grow_bag(self, old.target, rows.matrix(number), None, old.bag.rounds, fitted.budget))
                for number, old in enumerate(fitted.heads)
            )
        return replace(fitted, heads=heads)


@dataclass(frozen=True)
class Rows:
    """Feature values and labels of examples, whatever the task's type."""

    values: Real
    categorical: NDArray[np.bool_]
    labels: NDArray[np.float64]

    @staticmethod
    def of(features: Features, examples: Examples) -> Rows:
        return Rows(features.to_matrix(), features.categorical, examples.values.astype(np.float64))

    def matrix(self, head: int) -> Matrix:
        """What head number `head` learns from: its own column of a multilabel task, else the labels."""
        return Matrix(self.values, self.labels[:, head] if self.labels.ndim == 2 else self.labels, self.categorical)

    def take(self, rows: NDArray[np.int64]) -> Rows:
        return Rows(self.values[rows], self.categorical, self.labels[rows])

    def then(self, more: Rows) -> Rows:
        return Rows(
            np.concatenate([self.values, more.values]), self.categorical, np.concatenate([self.labels, more.labels])
        )


@dataclass(frozen=True)
class Head:
    """A goal and the forests grown for it."""

    target: Target
    bag: Bag


@dataclass(frozen=True)
class Contributions:
    """What each feature adds to each answer, before the link (log odds for probabilities).

    Attributes:
        names: The f features.
        values: (n, outputs, f) SHAP values of the trees (Lundberg et al. 2020), the mean over the bag.
        base: (n, outputs) the answer without any feature; `base + values.sum(-1)` is the margin.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    base: NDArray[np.float64]


@dataclass(frozen=True)
class FittedTrees:
    """Grown trees and the features they read."""

    method: BoostedTrees
    block: FittedBlock
    heads: tuple[Head, ...]
    staleness: Staleness
    ages: Gaps
    budget: Budget

    def predict(self, questions: Examples) -> NDArray[np.float64]:
        features = self._features(questions)
        with phase("predict"):
            return answers(questions, self.heads, features.to_matrix())

    def refit(self, examples: Examples) -> FittedTrees:
        return self.method.again(self, examples)

    def quantiles(self, questions: Examples) -> NDArray[np.float64]:
        """(n, levels) the quantiles that `method.quantiles` asks for, ascending in each row."""
        if not self.method.quantiles:
            raise InputError("these boosted trees were fitted without quantiles; set quantiles: [0.1, 0.5, 0.9], say")
        values = self._features(questions).to_matrix()
        return np.sort(np.concatenate([head.bag.margins(values) for head in self.heads], axis=1), axis=1)

    def contributions(self, questions: Examples) -> Contributions:
        """SHAP values by the library's own exact algorithm for trees."""
        features = self._features(questions)
        found = np.concatenate([head.bag.contributions(features.to_matrix()) for head in self.heads], axis=1)
        return Contributions(tuple(features.names), found[:, :, :-1], found[:, :, -1])

    def margins(self, questions: Examples) -> NDArray[np.float64]:
        """(n, outputs) answers before the link: what contributions add up to."""
        values = self._features(questions).to_matrix()
        return np.concatenate([head.bag.margins(values) for head in self.heads], axis=1)

    def _features(self, questions: Examples) -> Features:
        with phase("features"):
            return self.block.compute(questions)


def targets(method: BoostedTrees, examples: Examples) -> list[Target]:
    """What trees are grown for, one forest each."""
    kind = examples.task.type
    if kind is TaskType.MULTICLASS:
        return [Target("multiclass", classes=len(examples.classes))]
    if kind is TaskType.MULTILABEL:
        return [Target("binary")] * examples.width
    if kind is TaskType.BINARY:
        return [Target("binary")]
    if method.quantiles:
        return [Target("quantile", quantile=level) for level in sorted(method.quantiles)]
    return [Target("squared" if method.error == "squared" else "absolute")]


def answers(questions: Examples, heads: Sequence[Head], values: Real) -> NDArray[np.float64]:
    """Predictions in the shape the task asks for."""
    kind = questions.task.type
    margins = np.concatenate([head.bag.margins(values) for head in heads], axis=1)
    if kind is TaskType.BINARY:
        return _sigmoid(margins[:, 0])
    if kind is TaskType.MULTILABEL:
        return _sigmoid(margins)
    if kind is TaskType.MULTICLASS:
        powers = np.exp(margins - margins.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))
    central = int(np.argmin([abs(head.target.quantile - 0.5) for head in heads]))
    return np.asarray(margins[:, central])


def _sigmoid(margins: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-margins)))


def labelled(examples: Examples) -> Examples:
    """The examples whose label says something: a class not known at training (−1) does not."""
    if examples.task.type is not TaskType.MULTICLASS:
        return examples
    return examples.take(np.flatnonzero(examples.values >= 0))


def sampled(examples: Examples, most: int, seed: int) -> Examples:
    """At most `most` of the examples, drawn at random, their order kept."""
    if len(examples) <= most:
        return examples
    drawn = np.random.default_rng([seed, 5]).choice(len(examples), size=most, replace=False)
    return examples.take(np.sort(drawn))


def matrices(block: FittedBlock, stages: Sequence[Examples]) -> list[Rows]:
    """Values and labels of several examples, their features computed in one pass where possible."""
    with phase("features"):
        computed = compute_many(block, stages)
        return [Rows.of(features, examples) for features, examples in zip(computed, stages, strict=True)]
