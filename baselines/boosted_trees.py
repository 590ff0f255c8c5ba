"""Boosted trees on features: XGBoost or LightGBM over any composition of feature blocks, for every type of task.

One recipe for all tasks: small trees, few columns each, a slow learning rate, the mean of a few seeds. Where two ways are
good on different tasks (absolute error or that of square roots; history as fresh as at training or as stale as it will be)
forests are grown both ways and averaged: a few hundred questions of validation do not tell which is better.
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
from relbench_harness.features.block import Block, Features, FeatureUnion, FittedBlock, transform_many, within
from relbench_harness.features.handwritten import SqlFeatures
from relbench_harness.progress import track
from relbench_harness.protocol.method import Budget, Examples, Predictor
from relbench_harness.timing import phase

from .boosting import USUAL, Bag, Growth, Matrix, Objective, Real, Target, grow_bag, unrooted
from .quality import quality
from .ranker import QueryCandidates, Ranker
from .selection import ONE_PASS, ROWS, Remembered, Selected, best_columns, identity
from .staleness import WAYS, Gaps, Staleness, Way, gaps, origins, stale

ERRORS: Mapping[str, tuple[Objective, ...]] = {
    "blend": ("absolute", "root"),
    "absolute": ("absolute",),
    "squared": ("squared",),
    "root": ("root",),
}


@dataclass(frozen=True)
class BoostedTrees(Growth):
    """Boosted trees on the columns that `features` make.

    Attributes:
        features: Feature blocks; their columns stand side by side.
        bags: How many forests, differing by seed, are averaged.
        error: What a regression minimises: `absolute` or `squared` error, `root` (squared error of square roots), or `blend`,
            the mean of answers by `absolute` and by `root`.
        quantiles: Regression only: levels to predict instead of one value; `predict` then gives the most central one.
        staleness: How old training questions see the database: as they are (`fresh`), as old as later questions will see
            it (`stale`), both (`mixed`), half of the forests fresh and half mixed (`blend`), or `auto`: what validation and
            rehearsals inside the training data prefer.
        rehearsals: How many origins inside the training data `auto` looks at.
        most_features: Of more columns than this, those with the greatest gain in a quick forest are kept.
        most_rows: More training questions than this are sampled.
        ranker: What answers recommendation tasks; how its trees grow is taken from here.
    """

    features: Sequence[Block] = ()
    bags: int = 3
    error: Literal["blend", "absolute", "squared", "root"] = "blend"
    quantiles: Sequence[float] = ()
    staleness: Literal["auto", "blend", "fresh", "stale", "mixed"] = "blend"
    rehearsals: int = 2
    most_features: int = 200
    most_rows: int = 200_000
    ranker: Ranker = field(default_factory=Ranker)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bags < 1:
            raise InputError(f"boosted trees average at least 1 forest, not bags={self.bags}")
        for name, chosen, known in (
            ("error", self.error, tuple(ERRORS)),
            ("staleness", self.staleness, ("auto", *WAYS)),
        ):
            if chosen not in known:
                raise InputError(f"boosted trees know no {name}={chosen!r}; {nearest(str(chosen), known)}")
        if any(not 0 < level < 1 for level in self.quantiles):
            raise InputError(f"quantiles lie between 0 and 1, got {list(self.quantiles)}")

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Predictor:
        if train.task.type is TaskType.RECOMMENDATION:
            return self._ranker().fit(train, valid, budget)
        ages = gaps(valid)
        train, valid = sampled(labelled(train), self.most_rows, budget.seed), labelled(valid)
        shows, origins_ = [train], []
        if ages.max(initial=0) > 0 and self.staleness != "fresh":
            shows.append(stale(train, ages, budget.seed))
            origins_ = list(origins(train, ages, self.rehearsals)) if self.staleness == "auto" else []
        stages = [*shows, valid, *(questions for _, questions in origins_)]
        block, rows = self._computed(stages, len(shows), budget)
        shown, (held, *asked) = shown_rows(rows[: len(shows)]), rows[len(shows) :]
        rehearsals = [Rehearsal(np.arange(len(train)), valid, held)]
        rehearsals += [Rehearsal(*origin, questions) for origin, questions in zip(origins_, asked, strict=True)]
        staleness = self._staleness(shown, rehearsals, budget)
        with phase("fit"):
            heads = self._heads(valid, {way: shown[way] for way in WAYS[staleness]}, held, budget)
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

    def _computed(self, stages: Sequence[Examples], shows: int, budget: Budget) -> tuple[FittedBlock, list[Rows]]:
        """The blocks cut down to the columns worth having, and what these say of each of `stages`, the first `shows` for training.

        All columns of all stages come from one pass; with many training questions, from a pass over a sample to choose
        the columns and one over all questions for those alone.
        """
        with phase("features"):
            fitted = FeatureUnion(tuple(within(block, budget.memory_mb) for block in self.features)).fit(stages[0])
            one_pass = len(stages[0]) <= ONE_PASS
            looked = list(stages) if one_pass else [sampled(stage, ROWS, budget.seed) for stage in stages[:shows]]
            parts = [transform_many(block, looked) for block in track(fitted.blocks, "feature blocks")]
        wide = [
            reduce(Features.concat, each, Features(len(asked), ())) for asked, *each in zip(looked, *parts, strict=True)
        ]
        if len(wide[0].columns) <= self.most_features:
            return fitted, list(map(Rows.of, wide, looked)) if one_pass else matrices(fitted, stages)
        kept = self._best_columns(wide[:shows], looked[:shows], budget)
        block = Selected.of(fitted.blocks, [part[0].names for part in parts], kept)
        if not one_pass:
            return block, matrices(block, stages)
        narrow = [Features(features.rows, tuple(features.columns[i] for i in kept)) for features in wide]
        return block, list(map(Rows.of, narrow, looked))

    def _best_columns(self, features: Sequence[Features], shows: Sequence[Examples], budget: Budget) -> NDArray[np.int64]:
        """Positions of the columns worth having, by questions shown in every way."""
        with phase("fit"):
            some = sampled_rows(len(shows[0]), ROWS // len(shows), budget.seed)
            parts = [Rows.of(f.take(some), examples.take(some)) for f, examples in zip(features, shows, strict=True)]
            rows = reduce(Rows.then, parts)
            goals = targets(self, shows[0])
            heads = [rows.matrix(number) for number in range(len(goals))]
            return best_columns(self, goals, heads, self.most_features, budget)

    def _staleness(self, shown: Mapping[Way, Rows], rehearsals: Sequence[Rehearsal], budget: Budget) -> Staleness:
        """How to show the training questions; fresh where later questions are not stale.

        Each way is judged by questions as stale as those to come: rehearsals inside the training data, and validation. The
        number of rounds is the same for all, so that no way is helped by a lucky stop.
        """
        if len(shown) == 1:
            return "fresh"
        if self.staleness != "auto":
            return self.staleness
        points: dict[Staleness, float] = dict.fromkeys(WAYS, 0.0)
        quick = replace(self, bags=1, rounds=min(self.rounds, round(USUAL / self.learning_rate)))
        for before, questions, held in rehearsals:
            if len(questions) == 0:
                # validation whose labels are all unknown to training prefers nothing
                continue
            known = shown_rows([shown["fresh"].take(before), shown["stale"].take(before)])
            with phase("tune"):
                heads = quick._heads(questions, known, None, budget)
                for staleness, ways in WAYS.items():
                    found = answers(questions, [head.of(ways) for head in heads], held.values)
                    points[staleness] += quality(questions, found)
        return max(points, key=lambda staleness: points[staleness])

    def _heads(
        self,
        examples: Examples,
        shown: Mapping[Way, Rows],
        valid: Rows | None,
        budget: Budget,
        rounds: Mapping[tuple[int, Way], tuple[int, ...]] | None = None,
    ) -> tuple[Head, ...]:
        """Forests for every goal and every way of `shown`, of the given numbers of rounds or as many as `valid` says."""
        heads = []
        for number, goal in enumerate(targets(self, examples)):
            held = None if valid is None else valid.matrix(number)
            bags: dict[Way, Bag] = {}
            for way, rows in shown.items():
                most = (self.rounds,) * self.bags if rounds is None else rounds[number, way]
                bags[way] = grow_bag(self, goal, rows.matrix(number), held, most, budget)
            heads.append(Head(goal, bags))
        return tuple(heads)

    def again(self, fitted: FittedTrees, examples: Examples) -> FittedTrees:
        """`fitted` grown again on more labels; features, rounds and all else that was chosen stay."""
        examples = sampled(labelled(examples), self.most_rows, fitted.budget.seed)
        ways = WAYS[fitted.staleness]
        shows = [examples] if ways == ("fresh",) else [examples, stale(examples, fitted.ages, fitted.budget.seed)]
        shown = shown_rows(matrices(fitted.block, shows))
        rounds = {(n, way): bag.rounds for n, head in enumerate(fitted.heads) for way, bag in head.bags.items()}
        with phase("fit"):
            heads = self._heads(examples, {way: shown[way] for way in ways}, None, fitted.budget, rounds)
        return replace(fitted, heads=heads)


@dataclass(frozen=True)
class Rows:
    """Feature values and labels of examples, whatever the task's type."""

    values: Real
    categorical: NDArray[np.bool_]
    labels: NDArray[np.float64]
    time: NDArray[np.int64]

    @staticmethod
    def of(features: Features, examples: Examples) -> Rows:
        return Rows(features.to_matrix(), features.native, examples.values.astype(np.float64), examples.time)

    def matrix(self, head: int) -> Matrix:
        """What head number `head` learns from: its own column of a multilabel task, else the labels."""
        labels = self.labels[:, head] if self.labels.ndim == 2 else self.labels
        return Matrix(self.values, labels, self.categorical, time=self.time)

    def take(self, rows: NDArray[np.int64]) -> Rows:
        return Rows(self.values[rows], self.categorical, self.labels[rows], self.time[rows])

    def then(self, more: Rows) -> Rows:
        return Rows(
            np.concatenate([self.values, more.values]),
            self.categorical,
            np.concatenate([self.labels, more.labels]),
            np.concatenate([self.time, more.time]),
        )


def shown_rows(rows: Sequence[Rows]) -> dict[Way, Rows]:
    """Training rows by the way they are shown, from fresh ones and, where later questions are stale, stale ones."""
    if len(rows) == 1:
        return {"fresh": rows[0]}
    fresh, old = rows
    return {"fresh": fresh, "stale": old, "mixed": fresh.then(old)}


class Rehearsal(NamedTuple):
    """Which training rows are known, and questions that follow them with their features."""

    before: NDArray[np.int64]
    questions: Examples
    rows: Rows


@dataclass(frozen=True)
class Head:
    """A goal and the forests grown for it, by the way in which training questions were shown to them."""

    target: Target
    bags: Mapping[Way, Bag]

    def of(self, ways: Sequence[Way]) -> Head:
        return replace(self, bags={way: self.bags[way] for way in ways})

    def margins(self, values: Real) -> NDArray[np.float64]:
        return np.asarray(np.mean([bag.margins(values) for bag in self.bags.values()], axis=0))

    def contributions(self, values: Real) -> NDArray[np.float64]:
        return np.asarray(np.mean([bag.contributions(values) for bag in self.bags.values()], axis=0))

    def answers(self, values: Real) -> NDArray[np.float64]:
        """(n, outputs) numbers in the unit of the labels, or margins of classes."""
        margins = self.margins(values)
        return unrooted(margins) if self.target.objective == "root" else margins


@dataclass(frozen=True)
class Contributions:
    """What each feature adds to each answer, before the link (log odds for probabilities, square roots for `root`).

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
        return np.sort(np.concatenate([head.margins(values) for head in self.heads], axis=1), axis=1)

    def contributions(self, questions: Examples) -> Contributions:
        """SHAP values by the library's own exact algorithm for trees."""
        features = self._features(questions)
        found = np.concatenate([head.contributions(features.to_matrix()) for head in self.heads], axis=1)
        return Contributions(tuple(features.names), found[:, :, :-1], found[:, :, -1])

    def margins(self, questions: Examples) -> NDArray[np.float64]:
        """(n, outputs) answers before the link, one column for each goal: what contributions add up to."""
        values = self._features(questions).to_matrix()
        return np.concatenate([head.margins(values) for head in self.heads], axis=1)

    def _features(self, questions: Examples) -> Features:
        with phase("features"):
            return self.block.transform(questions)


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
    return [Target(error) for error in ERRORS[method.error]]


def answers(questions: Examples, heads: Sequence[Head], values: Real) -> NDArray[np.float64]:
    """Predictions in the shape the task asks for."""
    kind = questions.task.type
    found = np.concatenate([head.answers(values) for head in heads], axis=1)
    if kind is TaskType.BINARY:
        return _sigmoid(found[:, 0])
    if kind is TaskType.MULTILABEL:
        return _sigmoid(found)
    if kind is TaskType.MULTICLASS:
        powers = np.exp(found - found.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))
    if heads[0].target.objective != "quantile":
        return np.asarray(found.mean(axis=1))
    central = int(np.argmin([abs(head.target.quantile - 0.5) for head in heads]))
    return np.asarray(found[:, central])


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
        computed = transform_many(block, stages)
        return [Rows.of(features, examples) for features, examples in zip(computed, stages, strict=True)]
