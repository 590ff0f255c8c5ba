"""A mixture is chosen on validation: good answers count, bad ones do not, and what fails is named."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from relbench_harness.baselines.auto import Auto, weights_by_validation
from relbench_harness.baselines.constant import Constant
from relbench_harness.baselines.label_history import LabelHistory
from relbench_harness.baselines.quality import label_scale, quality
from shop import Shop

from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.protocol.method import Budget, Examples, Predictor
from relbench_harness.protocol.mixture import fused, mixed


@dataclass(frozen=True)
class Broken:
    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Predictor:
        raise RuntimeError("out of order")


@dataclass(frozen=True)
class Slow:
    """Takes no time, but needs a limit that is not reached."""

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Predictor:
        raise AssertionError("there was no time for this one")


def split(shop: Shop, kind: TaskType) -> tuple[Examples, Examples]:
    return shop.examples(kind, (60, 80), 100), shop.examples(kind, (100,), 100)


@pytest.mark.parametrize("kind", [TaskType.REGRESSION, TaskType.MULTICLASS, TaskType.RECOMMENDATION])
def test_the_mixture_is_as_good_on_validation_as_the_best_member(shop: Shop, kind: TaskType) -> None:
    train, valid = split(shop, kind)
    asked = replace(valid, labels=None)
    members = {"constant": Constant(), "label_history": LabelHistory()}
    fitted = Auto(members, {}).fit(train, valid, Budget())
    reached = quality(valid, fitted.predict(asked))
    alone = [quality(valid, method.fit(train, valid, Budget()).predict(asked)) for method in members.values()]
    assert reached >= max(alone) - 1e-12
    weights = fitted.notes["weights"]
    assert isinstance(weights, dict) and abs(sum(weights.values()) - 1) < 1e-9
    # examples that it was not asked for are answered by the same mixture
    some = np.arange(0, len(valid), 2)
    np.testing.assert_allclose(fitted.predict(asked.take(some)), fitted.predict(asked)[some])


def test_useless_answers_get_no_weight(shop: Shop) -> None:
    _, valid = split(shop, TaskType.REGRESSION)
    noise = np.random.default_rng(0).normal(size=(2, len(valid))) * valid.values.std()
    answers: list[NDArray[np.generic]] = [valid.values + noise[0], valid.values + noise[1], noise[0] * 100]
    weights = weights_by_validation(valid, answers, label_scale(valid))
    assert weights[2] == 0 and min(weights[:2]) > 0.3


def test_what_fails_or_finds_no_time_is_left_out_and_named(shop: Shop) -> None:
    train, valid = split(shop, TaskType.REGRESSION)
    fitted = Auto({"broken": Broken(), "constant": Constant()}, {"broken": 0.5}).fit(train, valid, Budget())
    assert fitted.notes == {"weights": {"constant": 1.0}, "left_out": ["broken"]}
    late = Auto({"constant": Constant(), "slow": Slow()}, {}).fit(train, valid, Budget(seconds=0.5))
    assert late.notes["left_out"] == ["slow"]
    with pytest.raises(RuntimeError, match="out of order"):
        Auto({"broken": Broken()}, {}).fit(train, valid, Budget())


def test_a_mixture_of_rankings_weighs_them() -> None:
    one, other = np.array([[1, 2]]), np.array([[3, 4]])
    assert mixed(TaskType.RECOMMENDATION, [one, other], [0.9, 0.1]).tolist() == [[1, 2]]
    assert mixed(TaskType.RECOMMENDATION, [one, other], [0.1, 0.9]).tolist() == [[3, 4]]
    assert fused([one, other]).tolist() == fused([one, other], [1.0, 1.0]).tolist()


@pytest.mark.parametrize(
    ("members", "shares"), [({}, {}), ({"a": Constant()}, {"b": 0.5}), ({"a": Constant()}, {"a": 1.5})]
)
def test_nonsense_is_refused(members: dict[str, Constant], shares: dict[str, float]) -> None:
    with pytest.raises(InputError, match="auto"):
        Auto(members, shares)
