"""Recommendation in two steps: candidates from the events behind the task, ranked by boosted trees (LambdaMART).

LambdaMART (Burges 2010) learns from training questions which of their candidates were right; its columns are what
`candidates.py` says of each pair and the item's own attributes. A question with fewer candidates than asked for is filled
up with the most popular items.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

import numpy as np
from numpy.typing import NDArray

from relbench_harness.errors import InputError
from relbench_harness.features.encode import Encoder, fit_encoders
from relbench_harness.protocol.method import Budget, Examples, Predictor, Ragged
from relbench_harness.timing import phase

from .boosting import Bag, Growth, Matrix, Target, grow_bag
from .candidates import Pairs, Sources
from .interactions import Events, Trail, events, trails


@dataclass(frozen=True)
class Ranker(Growth):
    """Candidates, then LambdaMART.

    Attributes:
        sources: Where candidates come from.
        bags: How many forests, differing by seed, are averaged.
        negatives: Wrong candidates kept per training question, drawn at random.
        most_pairs: Training stops adding older questions at so many pairs.
        trails: How many tables of events are read.
    """

    sources: Sources = field(default_factory=Sources)
    bags: int = 1
    negatives: int = 60
    most_pairs: int = 400_000
    trails: int = 4

    def grown_as(self, growth: Growth) -> Ranker:
        """This ranker with trees grown as `growth` says."""
        return replace(self, **{f.name: getattr(growth, f.name) for f in fields(Growth)})

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Predictor:
        if train.task.item_table is None:
            raise InputError(f"task {train.task.id} is no recommendation, so there are no items to rank")
        found = trails(train.database, train.task, self.trails)
        items = fit_encoders(train.known[train.task.item_table])
        rows = self._training(train, found, items, budget)
        with phase("features"):
            held = _ranking(_joined(valid, self.sources, found, items), valid)
        target = Target("rank", cutoff=train.task.eval_k or 10)
        with phase("fit"):
            bag = grow_bag(self, target, rows, held, (self.rounds,) * self.bags, budget)
        return FittedRanker(self, target, found, items, bag, budget)

    def again(self, fitted: FittedRanker, examples: Examples) -> FittedRanker:
        """`fitted` grown again on more labels with the same number of rounds."""
        items = fit_encoders(examples.known[examples.task.item_table or ""])
        rows = self._training(examples, fitted.trails, items, fitted.budget)
        with phase("fit"):
            bag = grow_bag(self, fitted.target, rows, None, fitted.bag.rounds, fitted.budget)
        return replace(fitted, items=items, bag=bag)

    def _training(self, examples: Examples, found: tuple[Trail, ...], items: tuple[Encoder, ...], budget: Budget) -> Matrix:
        """Pairs of the latest questions, each with its right candidates and some of the wrong ones."""
        random = np.random.default_rng([budget.seed, 11])
        parts: list[Matrix] = []
        with phase("features"):
            met = _events(examples, found)
            for cutoff in np.unique(examples.cutoff)[::-1]:
                asked = examples.take(np.flatnonzero(examples.cutoff == cutoff))
                pairs = _joined(asked, self.sources, found, items, met)
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
    trails: tuple[Trail, ...]
    items: tuple[Encoder, ...]
    bag: Bag
    budget: Budget

    def predict(self, questions: Examples) -> NDArray[np.int64]:
        """(n, eval_k) row numbers of the items ranked first."""
        with phase("features"):
            pairs = _joined(questions, self.method.sources, self.trails, self.items)
        with phase("predict"):
            margins = self.bag.margins(pairs.values)[:, 0]
            best = np.lexsort((pairs.item, -margins, pairs.question))
            question = pairs.question[best]
            rank = np.arange(len(best)) - np.searchsorted(question, question)
            k = questions.task.eval_k or 1
            answer = np.full((len(questions), k), -1, dtype=np.int64)
            first = rank < k
            answer[question[first], rank[first]] = pairs.item[best[first]]
            return _filled(answer, questions, self.trails)

    def refit(self, examples: Examples) -> FittedRanker:
        return self.method.again(self, examples)


def relevant(pairs: Pairs, truth: Ragged) -> NDArray[np.bool_]:
    """(p,) whether the pair's item is among its question's right answers."""
    owner = np.repeat(np.arange(len(truth.offsets) - 1), np.diff(truth.offsets))
    width = int(max(truth.values.max(initial=0), pairs.item.max(initial=0))) + 1
    return np.isin(pairs.question * width + pairs.item, owner * width + truth.values)


def _events(examples: Examples, found: tuple[Trail, ...]) -> dict[str, Events]:
    return {trail.name: events(examples.database, trail) for trail in found}


def _joined(
    questions: Examples,
    sources: Sources,
    found: tuple[Trail, ...],
    items: tuple[Encoder, ...],
    met: Mapping[str, Events] | None = None,
) -> Pairs:
    """Candidates of all questions with the items' own attributes beside what the events say."""
    known = _events(questions, found) if met is None else met
    parts = list(sources.pairs(questions, known))
    question = np.concatenate([part.question for part in parts])
    order = np.argsort(question, kind="stable")
    pairs = Pairs(
        question[order],
        np.concatenate([part.item for part in parts])[order],
        np.concatenate([part.values for part in parts])[order],
        parts[0].names,
    )
    return _with_attributes(pairs, questions, items)


def _with_attributes(pairs: Pairs, questions: Examples, items: tuple[Encoder, ...]) -> Pairs:
    table = questions.database[questions.task.item_table or ""]
    at = questions.cutoff[pairs.question]
    columns = [
        column
        for encoder in items
        if encoder.column in table.rows.column_names
        for column in encoder.columns(table.rows.column(encoder.column), pairs.item, at, "item.")
        if column.vocabulary is None
    ]
    if not columns:
        return pairs
    more = np.stack([column.numbers.astype(np.float32) for column in columns], axis=1)
    names = (*pairs.names, *(column.name for column in columns))
    return replace(pairs, values=np.concatenate([pairs.values, more], axis=1), names=names)


def _ranking(pairs: Pairs, examples: Examples) -> Matrix:
    """Pairs as trees learn them: relevance 1 or 0, grouped by question."""
    groups = np.unique(pairs.question, return_counts=True)[1].astype(np.int64)
    labels = relevant(pairs, examples.lists).astype(np.float64)
    return Matrix(pairs.values, labels, np.zeros(len(pairs.names), bool), groups)


def _filled(answer: NDArray[np.int64], questions: Examples, found: tuple[Trail, ...]) -> NDArray[np.int64]:
    """`answer` with the most popular items that its question does not name yet in place of −1."""
    short = np.flatnonzero((answer < 0).any(axis=1))
    if not len(short):
        return answer
    met = events(questions.database, found[0])
    items = len(questions.database[questions.task.item_table or ""])
    for cutoff in np.unique(questions.cutoff[short]):
        counts = np.bincount(met.before(int(cutoff)).item, minlength=items)
        popular = np.argsort(-counts, kind="stable")[: 2 * answer.shape[1]]
        for row in short[questions.cutoff[short] == cutoff]:
            missing = np.flatnonzero(answer[row] < 0)
            rest = popular[~np.isin(popular, answer[row])][: len(missing)]
            answer[row, missing[: len(rest)]] = rest
    return answer
