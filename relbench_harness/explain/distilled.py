"""A few columns that reproduce the answers of a predictor, as SQL: boosted trees learn its answers from window aggregates.

Invariant: how faithful the columns are is measured on entities that neither the trees nor the choice of columns have seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relbench_harness.explain.outputs import answers, check_values, same_again
from relbench_harness.explain.sql_columns import Floats, ViewColumn, candidates_of, values_of
from relbench_harness.explain.sql_text import SqlView
from relbench_harness.progress import track
from relbench_harness.protocol.audit.scenes import sampled
from relbench_harness.protocol.method import Examples, Predictor

SMALLEST = 1e-4
"""Probabilities are cut off here before they become log odds."""
FEWEST = 20
"""Entities below which nothing is learned."""
DRAWS = 200
Parts = tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]


@dataclass(frozen=True)
class Fidelity:
    """How well columns reproduce answers.

    Attributes:
        r2: The share of the variance of the answers that is reproduced; `low` and `high` are its 95 % interval over entities.
        rank: Spearman's correlation with the answers.
    """

    r2: float
    low: float
    high: float
    rank: float
    examples: int
    entities: int


@dataclass(frozen=True)
class ChosenColumn:
    """A column of the view.

    Attributes:
        share: Of the gain of the trees.
        gained: By how much R² rose with it, on the entities by which columns are chosen.
        direction: Spearman's correlation of its values with the answers.
        sql: The column alone, over a relation `seeds`.
    """

    column: ViewColumn
    share: float
    gained: float
    direction: float
    sql: str

    @property
    def name(self) -> str:
        return self.column.name


@dataclass(frozen=True)
class Distilled:
    """The columns, what they reproduce, and queries.

    Attributes:
        columns: In the order in which they were chosen.
        unit: What the answers are in: `margin` (log odds) or `prediction`.
        fidelity: Of the columns, on held-out entities.
        of_all: R² of trees on all columns that were tried, on the same entities.
        tried: How many columns these are.
        query: All columns over a relation `seeds(seed, entity, cutoff)`.
        runnable: The same for every entity as of the latest cut-off, with nothing to be given.
        seeds: What the relation is called.
    """

    columns: tuple[ChosenColumn, ...]
    unit: str
    fidelity: Fidelity
    of_all: float
    tried: int
    query: str
    runnable: str
    seeds: str


@dataclass(frozen=True)
class Distillation:
    """Learns a predictor's answers from few columns.

    Attributes:
        most: At most so many columns are chosen.
        least: A column must raise R² by so much, on entities kept for the choice.
        examples: Of training and of validation at most so many are answered each.
        looked_at: Columns with the greatest gain among which the choice is made.
        hops: How many keys below the entity rows are aggregated.
    """

    most: int = 8
    least: float = 0.004
    examples: int = 3000
    looked_at: int = 24
    hops: int = 2
    rounds: int = 80
    seed: int = 0

    def of(self, predictor: Predictor, train: Examples, valid: Examples) -> Distilled | None:
        """None where too few entities are answered, or all of them alike.

        Raises:
            InputError: A recommendation, or no example.
        """
        check_values(valid)
        inner = same_again(predictor)
        stages = [one.take(sampled(one, self.examples, self.seed)) for one in (train, valid) if len(one)]
        given = [np.asarray(answers(inner, one), np.float64) for one in stages]
        target, unit = margins(given)
        entity = np.concatenate([one.entity for one in stages])
        is_valid = np.repeat([i == len(stages) - 1 for i in range(len(stages))], [len(one) for one in stages])
        parts = self._parts(entity, is_valid)
        if len(np.unique(entity)) < FEWEST or any(not part.any() for part in parts) or np.ptp(target[parts[2]]) == 0:
            return None
        tried = candidates_of(train, self.hops)
        values = np.concatenate([values_of(tried, one) for one in track(stages, "columns of the SQL view")])
        student = _Student(values, target, parts, self.rounds, self.seed)
        order, gained = self._chosen(student)
        if not order:
            return None
        columns = tuple(tried[i] for i in order)
        view = SqlView(valid.database, valid.task)
        shares, fitted = student.gains(order), student.predictions(order)
        return Distilled(
            columns=tuple(
                ChosenColumn(one, float(shares[k]), gained[k], _rank(values[:, order[k]], target), view.of(one))
                for k, one in enumerate(columns)
            ),
            unit=unit,
            fidelity=_fidelity(target[parts[2]], fitted, entity[parts[2]], self.seed),
            of_all=r_squared(target[parts[2]], student.predictions(list(range(len(tried))))),
            tried=len(tried),
            query=view.together(columns),
            runnable=view.runnable(columns, int(valid.cutoff.max())),
            seeds=view.seeds,
        )

    def _parts(self, entity: NDArray[np.int64], is_valid: NDArray[np.bool_]) -> Parts:
        """Which examples the trees learn from, which columns are chosen by, and which nothing has seen."""
        known = np.random.default_rng([self.seed, 41]).permutation(np.unique(entity))
        first, second = int(0.45 * len(known)), int(0.6 * len(known))
        groups = (known[:first], known[first:second], known[second:])
        learned, chosen, held = (np.isin(entity, group) for group in groups)
        # what is stated is of validation examples where there are enough of them
        later = held & is_valid
        return learned, chosen, later if later.sum() >= FEWEST else held

    def _chosen(self, student: _Student) -> tuple[list[int], list[float]]:
        """Columns taken one after another, each the one that raises R² most, and by how much."""
        gains = student.gains(list(range(student.width)))
        left = [int(i) for i in np.argsort(-gains, kind="stable")[: self.looked_at] if gains[i] > 0]
        order, gained, best = list[int](), list[float](), 0.0
        for _ in track(range(self.most), "columns chosen"):
            tries = {one: student.score([*order, one]) for one in left}
            winner = max(tries, key=lambda one: tries[one], default=None)
            if winner is None or tries[winner] - best < self.least:
                break
            order.append(winner)
            left.remove(winner)
            gained.append(tries[winner] - best)
            best = tries[winner]
        return order, gained


class _Student:
    """Boosted trees on some of the columns."""

    def __init__(self, values: Floats, target: Floats, parts: Parts, rounds: int, seed: int) -> None:
        self._values, self._target, self._parts = values, target, parts
        self._rounds, self._seed = rounds, seed
        self.width = values.shape[1]

    def score(self, columns: Sequence[int]) -> float:
        """R² on the examples that columns are chosen by."""
        chosen = self._parts[1]
        found = self._fitted(columns, 40).predict(self._of(chosen, columns))
        return r_squared(self._target[chosen], np.asarray(found))

    def gains(self, columns: Sequence[int]) -> Floats:
        """(columns,) shares of the gain."""
        found = np.asarray(self._fitted(columns, self._rounds).feature_importance("gain"), np.float64)
        shares: Floats = found / max(float(found.sum()), 1e-30)
        return shares

    def predictions(self, columns: Sequence[int]) -> Floats:
        """Of the held-out examples."""
        return np.asarray(self._fitted(columns, self._rounds).predict(self._of(self._parts[2], columns)))

    def _of(self, rows: NDArray[np.bool_], columns: Sequence[int]) -> Floats:
        return self._values[rows][:, np.asarray(columns, np.int64)]

    def _fitted(self, columns: Sequence[int], rounds: int) -> Any:
        import lightgbm

        learned = self._parts[0]
        settings = {
            "objective": "regression", "num_leaves": 15, "learning_rate": 0.1 if rounds >= self._rounds else 0.2, "min_data_in_leaf": 10,
            "max_bin": 63, "verbose": -1, "num_threads": 1, "deterministic": True, "force_row_wise": True, "seed": self._seed,
        }  # fmt: skip
        data = lightgbm.Dataset(self._of(learned, columns), self._target[learned], params=settings)
        return lightgbm.train(settings, data, rounds)


def margins(given: Sequence[NDArray[np.float64]]) -> tuple[Floats, str]:
    """(n,) the number of each answer that is reproduced: log odds of probabilities, else the prediction.

    Of several classes or labels the one counts that is likeliest most often.
    """
    raw = np.concatenate(given)
    if raw.ndim == 2:
        raw = raw[:, int(np.bincount(raw.argmax(axis=1)).argmax())]
    if raw.min() < 0 or raw.max() > 1:
        return raw, "prediction"
    cut = np.clip(raw, SMALLEST, 1 - SMALLEST)
    return np.log(cut / (1 - cut)), "margin"


def r_squared(given: Floats, found: Floats) -> float:
    """The share of the variance of `given` that `found` reproduces; below 0 where the mean would do better."""
    total = float(((given - given.mean()) ** 2).sum())
    return 1 - float(((given - found) ** 2).sum()) / total if total else float("nan")


def _rank(values: Floats, target: Floats) -> float:
    known = ~np.isnan(values)
    if known.sum() < 3 or np.ptp(values[known]) == 0 or np.ptp(target[known]) == 0:
        return 0.0
    return float(pd.Series(values[known]).corr(pd.Series(target[known]), method="spearman"))


def _fidelity(given: Floats, found: Floats, entity: NDArray[np.int64], seed: int) -> Fidelity:
    draws = [r_squared(given[rows], found[rows]) for rows in _resampled(entity, seed)]
    low, high = np.nanquantile(draws, [0.025, 0.975])
    entities = len(np.unique(entity))
    return Fidelity(r_squared(given, found), float(low), float(high), _rank(found, given), len(given), entities)


def _resampled(entity: NDArray[np.int64], seed: int) -> Iterator[NDArray[np.int64]]:
    """Rows of entities drawn with replacement."""
    known, place = np.unique(entity, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(known) + 1))
    rng = np.random.default_rng([seed, 43])
    for _ in range(DRAWS):
        drawn = rng.integers(len(known), size=len(known))
        yield np.concatenate([order[starts[one] : starts[one + 1]] for one in drawn])
