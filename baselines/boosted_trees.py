"""Boosted trees on features: XGBoost or LightGBM over any composition of feature blocks, for every type of task.

One recipe for all tasks: small trees, few columns each, a slow learning rate, the mean of a few seeds, and early
stopping on validation. What is open beyond that (squared or absolute error; training on stale history or fresh) is
decided on validation labels or inside the training data, never later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Literal, NamedTuple

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
from .selection import ONE_PASS, ROWS, Remembered, Selected, best_columns, identity
from .staleness import CHOICES, Gaps, Staleness, aged, gaps, origins, stale

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
        stages, origins_ = [train, valid], []
        if ages.max(initial=0) > 0 and self.staleness != "fresh":
            origins_ = list(origins(train, ages, self.rehearsals)) if self.staleness == "auto" else []
            stages += [stale(train, ages, budget.seed), *(questions for _, questions in origins_)]
        block, (fresh, held, *rest) = self._computed(stages, budget)
        shown: dict[Staleness, Rows] = {"fresh": fresh}
        if rest:
            shown |= {"stale": rest[0], "mixed": fresh.then(rest[0])}
        rehearsals = [Rehearsal(np.arange(len(train)), valid, held)]
        rehearsals += [Rehearsal(*origin, rows) for origin, rows in zip(origins_, rest[1:], strict=True)]
        staleness = self._staleness(shown, rehearsals, budget)
        with phase("fit"):
            heads = self._chosen_heads(shown[staleness], held, valid, budget)
        return FittedTrees(self, block, heads, staleness, ages, budget, (identity(valid), held.values))

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

    def _computed(self, stages: Sequence[Examples], budget: Budget) -> tuple[FittedBlock, list[Rows]]:
        """The blocks cut down to the columns worth having, and what these say of each of `stages`, training first.

        All columns of all stages come from one pass; with many training questions, from a pass over a sample to choose
        the columns and one over all questions for those alone.
        """
        with phase("features"):
            fitted = Together(tuple(self.features)).fit(stages[0])
            looked = stages if len(stages[0]) <= ONE_PASS else [sampled(stages[0], ROWS, budget.seed)]
            parts = [compute_many(block, looked) for block in fitted.blocks]
        wide = [
            reduce(Features.concat, each, Features(len(asked), ())) for asked, *each in zip(looked, *parts, strict=True)
        ]
        if len(wide[0].columns) <= self.most_features:
            return fitted, list(map(Rows.of, wide, looked)) if looked is stages else matrices(fitted, stages)
        kept = self._best_columns(wide[0], looked[0], budget)
        block = Selected.of(fitted.blocks, [part[0].names for part in parts], kept)
        if looked is not stages:
            return block, matrices(block, stages)
        narrow = [Features(features.rows, tuple(features.columns[i] for i in kept)) for features in wide]
        return block, list(map(Rows.of, narrow, looked))

    def _best_columns(self, features: Features, examples: Examples, budget: Budget) -> NDArray[np.int64]:
        with phase("fit"):
            some = sampled_rows(len(examples), ROWS, budget.seed)
            rows = Rows.of(features.take(some), examples.take(some))
            goals = targets(self, examples)
            heads = [rows.matrix(number) for number in range(len(goals))]
            return best_columns(self, goals, heads, self.most_features, budget)

    def _staleness(self, shown: Mapping[Staleness, Rows], rehearsals: Sequence[Rehearsal], budget: Budget) -> Staleness:
        """How to show the training questions; fresh where later questions are not stale.

        Each way is judged by questions as stale as those to come: rehearsals inside the training data, and validation. The
        number of rounds is the same for all, so that no way is helped by a lucky stop.
        """
        if self.staleness != "auto":
            return self.staleness if self.staleness in shown else "fresh"
        if len(shown) == 1:
            return "fresh"
        points = dict.fromkeys(CHOICES, 0.0)
        goals = targets(replace(self, error="absolute"), rehearsals[0].questions)
        for before, questions, held in rehearsals:
            for way in CHOICES:
                known = shown["fresh"].take(before)
                if way != "fresh":
                    known = shown["stale"].take(before) if way == "stale" else known.then(shown["stale"].take(before))
                with phase("tune"):
                    heads = self._heads(goals, known, None, (min(self.rounds, REHEARSED_ROUNDS),), budget)
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


class Rehearsal(NamedTuple):
    """Which training rows are known, and questions that follow them with their features."""

    before: NDArray[np.int64]
    questions: Examples
    rows: Rows


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
    seen: tuple[bytes, Real]

    def predict(self, questions: Examples) -> NDArray[np.float64]:
        # the questions of validation were read while fitting
        known = self.seen[1] if identity(questions) == self.seen[0] else None
        values = self._features(questions).to_matrix() if known is None else known
        with phase("predict"):
            return answers(questions, self.heads, values)

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
    return examples.take(sampled_rows(len(examples), most, seed))


def sampled_rows(rows: int, most: int, seed: int) -> NDArray[np.int64]:
    """At most `most` of the numbers below `rows`, ascending."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng([seed, 5]).choice(rows, size=most, replace=False))


def matrices(block: FittedBlock, stages: Sequence[Examples]) -> list[Rows]:
    """Values and labels of several examples, their features computed in one pass where possible."""
    with phase("features"):
        computed = compute_many(block, stages)
        return [Rows.of(features, examples) for features, examples in zip(computed, stages, strict=True)]
