"""What every method must keep: answers of the right shape, the same for the same seed, and nothing from the future.

A method is found by its config, so a new one is tested without more ado. Hyperparameters that make a method slow are shrunk where
a method declares them; a task type that a method does not do must be refused in one sentence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from scramble import later_rows_that_matter, own_rows, same, scrambled
from shop_folder import TASKS as TASK_MANIFESTS
from small_methods import small

from relbench_harness.compose import make_method
from relbench_harness.data.dataset import Dataset
from relbench_harness.errors import InputError
from relbench_harness.presets import method_names
from relbench_harness.protocol.method import Budget, Examples, Method, Predictor, Ragged, Refittable, Regime
from relbench_harness.protocol.stages import Stages

BUDGET = Budget(seed=5, threads=1, trials=1, device="cpu")
TASKS = tuple(TASK_MANIFESTS)
QUICK = ("churn", "basket", "amount")
"""One task of each kind is tested at every turn, the others by CI."""
COMPOSED = ("auto", "hybrid", "lightgbm_dfs")
"""Methods of parts that are tested by themselves: on other tasks by `make thorough` alone."""


def _marked(*values: str) -> Any:
    name, task, *regime = values
    if "DeepFeatureSynthesis" in str(make_method(name)[1]):
        # seconds for each SQL that is planned anew
        quick = values == (name, QUICK[0], "rolling")
    else:
        quick = task in QUICK and regime == ["rolling"] if regime else task == QUICK[0]
    seldom = pytest.mark.thorough if name in COMPOSED else pytest.mark.slow
    return pytest.param(*values, marks=[] if quick else [seldom])


PAIRS = [_marked(method, task) for method in method_names() for task in QUICK]
CASES = [_marked(method, task, "rolling") for method in method_names() for task in TASKS] + [
    _marked(method, task, "frozen") for method in method_names() for task in QUICK
]


@dataclass(frozen=True)
class Case:
    """A method on a task of the shop, fitted once for all tests of it."""

    method: Method
    stages: Stages
    train: Examples
    valid: Examples
    predictor: Predictor

    def examples(self, split: str) -> Examples:
        return self.stages.holdout("val" if split == "val" else "test").examples


@pytest.fixture(scope="module")
def cases(shop_dataset: Dataset) -> Any:
    @lru_cache
    def fitted(name: str, task: str, regime: Regime) -> Case | None:
        stages = Stages(shop_dataset, shop_dataset.task(task), regime)
        train, valid = stages.examples("train"), stages.examples("val")
        method = small(name)
        try:
            return Case(method, stages, train, valid, method.fit(train, valid, BUDGET))
        except InputError as refusal:
            kinds = (str(stages.task.type), str(stages.task.kind), stages.task.id)
            assert any(kind in str(refusal) for kind in kinds), f"a refusal names what it refuses: {refusal}"
            return None

    def case(name: str, task: str, regime: Regime) -> Case:
        found = fitted(name, task, regime)
        if found is None:
            pytest.skip(f"{name} does not do {task}")
        return cast(Case, found)

    return case


@pytest.mark.parametrize(("method", "task", "regime"), CASES)
def test_answers_are_of_the_right_shape_and_refitting_works(cases: Any, method: str, task: str, regime: Regime) -> None:
    case: Case = cases(method, task, regime)
    for split in ("val", "test"):
        holdout = case.stages.holdout("val" if split == "val" else "test")
        scores = holdout.score(np.asarray(case.predictor.predict(holdout.examples)))
        assert any(np.isfinite(value) for value in scores.values())
    if isinstance(case.predictor, Refittable) and regime == "rolling":
        both = case.stages.final_training()
        again = case.stages.holdout("test", both.fit_end)
        again.score(np.asarray(case.predictor.refit(both).predict(again.examples)))


@pytest.mark.parametrize(("method", "task"), PAIRS)
def test_the_same_seed_gives_the_same_answers(cases: Any, method: str, task: str) -> None:
    case: Case = cases(method, task, "rolling")
    again = small(method).fit(case.train, case.valid, BUDGET)
    examples = case.examples("test")
    assert np.array_equal(case.predictor.predict(examples), again.predict(examples))


@pytest.mark.parametrize(("method", "task", "regime"), CASES)
def test_what_comes_later_changes_no_answer(cases: Any, method: str, task: str, regime: Regime) -> None:
    case: Case = cases(method, task, regime)
    assert later_rows_that_matter(case.predictor, case.examples("test")) == []


@pytest.mark.parametrize(("method", "task"), PAIRS)
def test_what_comes_later_changes_nothing_that_is_learned(cases: Any, method: str, task: str) -> None:
    """A model learned from early examples is the same whatever happened after them."""
    case: Case = cases(method, task, "rolling")
    t = int(np.quantile(case.train.cutoff, 0.7))
    early = case.train.take(np.flatnonzero(case.train.cutoff <= t))
    own = own_rows(early.database, early.task.entity_table, early.entity, early.task.own_row_visible)
    before = replace(early, fit_end=t)
    after = replace(before, database=scrambled(early.database, t, own, seed=1))
    valid, examples = replace(case.valid, fit_end=t), replace(case.examples("test"), fit_end=t)
    answers = [small(method).fit(train, valid, BUDGET).predict(examples) for train in (before, after)]
    assert same(*answers)


@dataclass(frozen=True)
class Cheat:
    """Counts the rows that refer to the entity, those of the future as well."""

    table: str = "order"
    column: str = "customer"

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Cheat:
        return self

    def predict(self, examples: Examples) -> NDArray[np.float64]:
        named = examples.database[self.table].parents(self.column)
        return np.asarray(np.bincount(named[named >= 0], minlength=10**4)[examples.entity] / 1e4)


@dataclass(frozen=True)
class OwnInstant(Cheat):
    """Counts rows up to and including the example's own instant."""

    def predict(self, examples: Examples) -> NDArray[np.float64]:
        table = examples.database[self.table]
        named, times = table.parents(self.column), table.times
        assert times is not None
        pairs = zip(examples.entity, examples.cutoff, strict=True)
        return np.asarray([float(((named == entity) & (times <= t)).sum()) for entity, t in pairs])


@pytest.mark.parametrize("cheat", [Cheat(), OwnInstant()])
def test_a_cheating_method_is_caught(shop_dataset: Dataset, cheat: Cheat) -> None:
    examples = Stages(shop_dataset, shop_dataset.task("churn"), "rolling").holdout("test").examples
    assert later_rows_that_matter(cheat, examples)


def test_frozen_examples_hold_nothing_to_cheat_with(shop_dataset: Dataset) -> None:
    examples = Stages(shop_dataset, shop_dataset.task("churn"), "frozen").holdout("test").examples
    assert later_rows_that_matter(Cheat(), examples) == []


def test_every_label_kind_occurs_in_the_shop(shop_dataset: Dataset) -> None:
    for name in TASKS:
        labels = Stages(shop_dataset, shop_dataset.task(name), "rolling").examples("train").labels
        assert labels is not None
        values = labels.values if isinstance(labels, Ragged) else labels
        assert len(np.unique(values)) > 1


def test_every_config_makes_a_method() -> None:
    for name in method_names():
        assert callable(small(name).fit)
