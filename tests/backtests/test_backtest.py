"""Backtests: what is learned from at an origin, what answers there, and what goes on where a method fails."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from scramble import scrambled
from small_methods import small

from relbench_harness.backtests import carry_out
from relbench_harness.backtests.carry_out import Backtest, Cell
from relbench_harness.backtests.origins import origins
from relbench_harness.backtests.plan import REFRESH, Plan
from relbench_harness.backtests.refreshing import POLICIES, Standing, Teacher
from relbench_harness.data.dataset import Dataset
from relbench_harness.data.table import nanoseconds
from relbench_harness.errors import InputError
from relbench_harness.protocol.method import Budget, Examples
from relbench_harness.protocol.stages import Stages

PLAN = Plan(3, "horizon", "val")
BUDGET = Budget(threads=1, device="cpu")


def at_origins(dataset: Dataset, task: str, plan: Plan = PLAN) -> list[Stages]:
    return origins((dataset, dataset.task(task)), plan, "frozen")


def cells(method: Any, stages: list[Stages], policies: tuple[str, ...] = REFRESH) -> list[Cell]:
    return Backtest("a method", Teacher(method, BUDGET), stages, policies).execute()


@dataclass
class Diary:
    """A method that writes down what it was handed, and answers 0.5."""

    seen: list[tuple[str, Examples]] = field(default_factory=list)

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Diary:
        self.seen += [("learned", train), ("learned", valid)]
        return self

    def refit(self, examples: Examples) -> Diary:
        self.seen.append(("learned", examples))
        return self

    def predict(self, examples: Examples) -> np.ndarray:
        self.seen.append(("answered", examples))
        return np.full(len(examples), 0.5)


def test_origins_lie_one_step_apart_and_end_before_the_test_timestamp(shop_dataset: Dataset) -> None:
    horizon = shop_dataset.task("churn").horizon
    found = [stages.dataset.cuts for stages in at_origins(shop_dataset, "churn")]
    assert [cuts.test for cuts in found] == [shop_dataset.cuts.test - k * horizon for k in (3, 2, 1)]
    assert all(cuts.test - cuts.val == horizon for cuts in found)
    for stages in at_origins(shop_dataset, "churn"):
        # every window between two origins is answered, at one origin alone
        assert set(stages.labels("test").time) == {nanoseconds(stages.dataset.cuts.test)}
        assert all(
            t.times is None or not len(t) or t.times[-1] <= nanoseconds(shop_dataset.cuts.test)
            for t in stages.dataset.database.values()
        )
    (*_, last) = at_origins(shop_dataset, "churn", Plan(2, "horizon", "test"))
    assert last.dataset.cuts.test == shop_dataset.cuts.test


def test_an_origin_asks_what_a_moved_dataset_asks(shop_dataset: Dataset) -> None:
    (stages, _) = at_origins(shop_dataset, "spend", Plan(2, "span", "test"))
    moved = replace(shop_dataset, backtest=1)
    ours, theirs = stages.labels("train"), moved.labels(moved.task("spend"), "train")
    assert np.array_equal(ours.entity, theirs.entity) and ours.target.equals(theirs.target)


@pytest.mark.parametrize("policy", REFRESH)
def test_no_row_or_label_after_an_origin_is_learned_from(shop_dataset: Dataset, policy: str) -> None:
    check_what_is_handed(shop_dataset, policy)


@pytest.mark.parametrize("hidden", ["rows", "labels"])
def test_a_policy_that_learns_from_what_is_held_out_is_found(
    shop_dataset: Dataset, hidden: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that hands a model rows or labels of the split that it is to answer at the same origin."""
    honest = Stages.final_training

    def ahead(stages: Stages) -> Examples:
        test = stages.examples("test")
        if hidden == "rows":
            return replace(honest(stages), database=stages.dataset.database)
        return replace(test, database=honest(stages).database)

    def cheating(teacher: Teacher, before: Standing, stages: Stages, origin: int) -> Standing:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Stages, "final_training", ahead)
            return POLICIES["warm"](teacher, before, stages, origin)

    monkeypatch.setattr(carry_out, "POLICIES", {**POLICIES, "warm": cheating})
    with pytest.raises(AssertionError):
        check_what_is_handed(shop_dataset, "warm")


def check_what_is_handed(shop_dataset: Dataset, policy: str) -> None:
    stages, diary = at_origins(shop_dataset, "churn"), Diary()
    cells(diary, stages, (policy,))
    horizon = stages[0].task.horizon.value
    answered = 0
    learned_until = []
    for what, examples in diary.seen:
        cut = nanoseconds(stages[answered].dataset.cuts.test)
        for table in examples.database.values():
            assert table.times is None or not len(table) or table.times[-1] < cut
        assert examples.training is not None and examples.training.time.max() + horizon <= cut
        if what == "learned":
            assert examples.labels is not None and examples.time.max() + horizon <= cut
            learned_until.append(examples.time.max() + horizon)
        else:
            assert examples.labels is None and (examples.time == cut).all()
            assert examples.fit_end == max(learned_until)
            answered += 1
    assert answered == 3
    # what is known at the last origin is used there, but for the model that is never fitted again
    of = stages[0] if policy == "never" else stages[-1]
    assert max(learned_until) == nanoseconds(of.dataset.cuts.test)


@dataclass(frozen=True)
class Counts:
    """Answers with all that it was handed: what it learned from, and the orders that it sees."""

    learned: float = 0.0

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Counts:
        return self.refit(train)

    def refit(self, examples: Examples) -> Counts:
        assert examples.training is not None
        values = np.asarray(examples.training.values)
        return Counts(float(examples.values.mean() + values.mean()) + orders(examples).sum())

    def predict(self, examples: Examples) -> np.ndarray:
        return self.learned + orders(examples)[examples.entity]


def orders(examples: Examples) -> np.ndarray:
    """(customers,) how many orders each has."""
    customer = examples.database["order"].parents("customer")
    return np.bincount(customer[customer >= 0], minlength=len(examples.database["customer"]))


def test_later_rows_change_no_earlier_answer(shop_dataset: Dataset) -> None:
    stages = at_origins(shop_dataset, "churn")
    after = nanoseconds(stages[1].dataset.cuts.test) + 1
    others = [with_rows(one, after) for one in stages]
    for method, policies in ((Counts(), REFRESH), (small("lightgbm_simple"), ("warm",))):
        ours, theirs = (cells(method, each, policies) for each in (stages, others))
        pairs = list(zip(ours, theirs, strict=True))
        assert all(np.array_equal(a.predictions, b.predictions) for a, b in pairs if a.origin <= 1)
        if isinstance(method, Counts):
            assert not any(np.array_equal(a.predictions, b.predictions) for a, b in pairs if a.origin > 1)


def with_rows(stages: Stages, after: int) -> Stages:
    """The same origin of a database whose rows from `after` on are others."""
    dataset = replace(stages.dataset)
    dataset.__dict__["database"] = scrambled(stages.dataset.database, after)
    return Stages(dataset, stages.task, stages.regime)


def test_policies_share_the_first_model_and_differ_later(shop_dataset: Dataset) -> None:
    stages = at_origins(shop_dataset, "spend")
    found = {(c.policy, c.origin): c for c in cells(small("label_history"), stages)}
    first = found["never", 0]
    for policy in ("every", "warm"):
        assert np.array_equal(found[policy, 0].predictions, first.predictions)
        assert [found[policy, k].age for k in range(3)] == [0, 0, 0]
        assert not np.array_equal(found[policy, 2].predictions, found["never", 2].predictions)
    assert [found["never", k].age for k in range(3)] == [0, 10, 20]
    assert found["never", 2].fit_seconds == 0 < min(found["every", 2].fit_seconds, found["warm", 2].fit_seconds)


@pytest.mark.parametrize("task", ["channel", "channels", "basket"])
def test_tasks_with_classes_and_lists_are_answered(shop_dataset: Dataset, task: str) -> None:
    found = cells(small("constant"), at_origins(shop_dataset, task, Plan(2, "horizon", "val")))
    assert [cell.error for cell in found] == [""] * 6
    assert all(np.isfinite(next(iter(c.labels.score(c.predictions).values()))) for c in found)


@dataclass(frozen=True)
class Fails:
    """A method that fails at its fit number `at`, from 0."""

    at: int
    counter: Iterator[int]

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Fails:
        if next(self.counter) == self.at:
            raise ValueError("no more")
        return self

    def predict(self, examples: Examples) -> np.ndarray:
        return np.full(len(examples), 0.5)


def test_a_failure_at_one_origin_leaves_the_others(shop_dataset: Dataset) -> None:
    stages = at_origins(shop_dataset, "churn")
    found = cells(Fails(1, iter(range(9))), stages, ("never", "every"))
    assert [(c.policy, c.origin) for c in found if c.predictions is None] == [("every", 1)]
    assert next(c.error for c in found if c.error) == "ValueError: no more"
    with pytest.raises(InputError, match="at the first origin: ValueError: no more"):
        cells(Fails(0, iter(range(9))), stages)


def test_what_cannot_be_is_refused(shop_dataset: Dataset) -> None:
    with pytest.raises(InputError, match="Fails cannot learn again on more labels; use refresh=never,every"):
        cells(Fails(9, iter(range(9))), at_origins(shop_dataset, "churn"), ("warm",))
    with pytest.raises(InputError, match=r"origin 1 of 30, at .*use fewer origins"):
        at_origins(shop_dataset, "churn", Plan(30, "horizon", "val"))
    with pytest.raises(InputError, match="name the dataset without @backtest"):
        at_origins(replace(shop_dataset, backtest=1), "churn")
