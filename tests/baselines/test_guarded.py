"""A method that is worse on validation than a trivial one gives way to it, and the result says so."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from relbench_harness.baselines.constant import Constant, constant_answer
from relbench_harness.baselines.guarded import Guard, Guarded, NoGuard, is_better
from relbench_harness.baselines.label_history import LabelHistory
from shop import Shop

from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.protocol.method import Budget, Examples, Predictor


@dataclass(frozen=True)
class Knows:
    """Predicts the examples' true labels, known by (entity, time), plus noise of a standard deviation."""

    noise: float

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Predictor:
        known = dict(zip(_keys(valid), valid.values, strict=True))
        return _Knowing(known, self.noise)


@dataclass(frozen=True)
class _Knowing:
    known: dict[tuple[int, int], float]
    noise: float

    def predict(self, examples: Examples) -> NDArray[np.float64]:
        truth = np.asarray([self.known[key] for key in _keys(examples)])
        return truth + self.noise * np.random.default_rng(1).normal(size=len(truth))


def _keys(examples: Examples) -> list[tuple[int, int]]:
    return list(zip(examples.entity.tolist(), examples.time.tolist(), strict=True))


@pytest.mark.parametrize("kind", [TaskType.REGRESSION, TaskType.BINARY])
def test_a_method_that_is_better_answers_and_a_useless_one_gives_way(shop: Shop, kind: TaskType) -> None:
    train, valid = shop.examples(kind, (60, 80), 100), shop.examples(kind, (100,), 100)
    asked = replace(valid, labels=None)
    good = Guarded(Knows(0.01)).fit(train, valid, Budget())
    assert good.notes == {} and np.abs(good.predict(asked) - valid.values).max() < 0.1
    bad = Guarded(Knows(1e6)).fit(train, valid, Budget())
    trivial = {"constant": Constant(), "label_history": LabelHistory()}
    assert bad.notes["fallback"] in trivial
    expected = trivial[str(bad.notes["fallback"])].fit(train, valid, Budget()).predict(asked)
    np.testing.assert_array_equal(bad.predict(asked), expected)
    # of examples that were not asked before, too
    np.testing.assert_array_equal(bad.predict(asked.take(np.arange(3))), expected[:3])


def test_a_difference_within_the_noise_is_none(shop: Shop) -> None:
    valid = shop.examples(TaskType.REGRESSION, (100,), 100)
    middle = np.full(len(valid), float(constant_answer(valid)))
    random = np.random.default_rng(0)
    slightly = middle + 1e-3 * random.normal(size=len(valid)) * np.std(valid.values)
    assert is_better(valid, (valid.values, middle), 1.0, 1.0, 0)
    assert not is_better(valid, (middle, middle), 1.0, 1.0, 0)
    assert not is_better(valid, (slightly, middle), 1.0, 3.0, 0)


def test_what_was_chosen_is_fitted_again(shop: Shop) -> None:
    train, valid = shop.examples(TaskType.REGRESSION, (60, 80), 100), shop.examples(TaskType.REGRESSION, (100,), 100)
    again = Guarded(Knows(1e6)).fit(train, valid, Budget()).refit(valid)
    assert len(again.predict(valid)) == len(valid)
    with pytest.raises(InputError, match="_Knowing cannot learn again"):
        Guarded(Knows(0.0)).fit(train, valid, Budget()).refit(valid)


def test_trivial_methods_are_not_guarded_and_a_guard_can_be_left_out() -> None:
    assert Guard().around(Constant()) == Constant() and Guard().around(LabelHistory()) == LabelHistory()
    assert Guard(2.0).around(Knows(1.0)) == Guarded(Knows(1.0), 2.0)
    assert NoGuard().around(Knows(1.0)) == Knows(1.0)
