"""Tuning tries what was declared, keeps the best on validation and stops in time; averaging averages."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from relbench_harness.baselines.averaged import Averaged
from relbench_harness.baselines.quality import quality
from relbench_harness.baselines.search import Search
from relbench_harness.baselines.trees.method import BoostedTrees
from relbench_harness.baselines.tuned import LEAST_EXAMPLES, Tuned
from shop import Shop

from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.features.windows import Windows
from relbench_harness.protocol.method import Budget, Examples, Predictor
from relbench_harness.protocol.mixture import fused

TRIED: list[float] = []


@dataclass(frozen=True)
class Says:
    """Predicts `value` for everything, plus the seed where it is `shaky`."""

    value: float = 0.0
    shaky: bool = False
    wait: float = 0.0

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Predictor:
        TRIED.append(self.value)
        time.sleep(self.wait)
        return _Said(self.value + (budget.seed if self.shaky else 0.0))


@dataclass(frozen=True)
class _Said:
    value: float

    def predict(self, examples: Examples) -> NDArray[np.float64]:
        return np.full(len(examples), self.value)

    def refit(self, examples: Examples) -> _Said:
        return _Said(self.value + 100)


def world(shop: Shop) -> tuple[Examples, Examples]:
    return shop.examples(TaskType.REGRESSION, (60, 80), 100), shop.examples(TaskType.REGRESSION, (100,), 100)


def test_the_best_on_validation_is_kept(shop: Shop) -> None:
    train, valid = world(shop)
    TRIED.clear()
    tuned = Tuned(Says(50.0), {"value": {"low": 0, "high": 10}})
    found = tuned.fit(train, valid, Budget(trials=12)).predict(valid)
    assert len(TRIED) == 12 and TRIED[0] == 50.0
    best = min(TRIED, key=lambda value: float(np.abs(valid.values - value).mean()))
    assert set(np.asarray(found)) == {best}


def test_the_same_seed_tries_the_same(shop: Shop) -> None:
    train, valid = world(shop)
    runs = []
    for _ in range(2):
        TRIED.clear()
        Tuned(Says(), {"value": [1.0, 2.0, 3.0, 4.0]}).fit(train, valid, Budget(seed=4, trials=6))
        runs.append(list(TRIED))
    assert runs[0] == runs[1] and len(set(runs[0])) > 1


def test_seconds_end_the_search(shop: Shop) -> None:
    train, valid = world(shop)
    TRIED.clear()
    Tuned(Says(wait=0.05), {"value": [1.0]}).fit(train, valid, Budget(trials=1000, seconds=0.3))
    assert 1 <= len(TRIED) < 20


def test_draws_stay_inside() -> None:
    space: dict[str, Any] = {
        "log": {"low": 0.01, "high": 100, "log": True},
        "whole": {"low": 0.5, "high": 5.5, "whole": True},
        "listed": [4, 8, 16],
        "named": ["a", "b"],
    }
    search = Search(space, seed=0, trials=200)
    drawn = [setting.values for setting in _told(search, 60)]
    log: list[Any] = [one["log"] for one in drawn]
    assert min(log) >= 0.01 and max(log) <= 100 and 0.2 < np.mean(np.asarray(log) < 1) < 0.8
    assert {one["whole"] for one in drawn} == {1, 2, 3, 4, 5} and all(isinstance(one["whole"], int) for one in drawn)
    assert {one["listed"] for one in drawn} == {4, 8, 16} and {one["named"] for one in drawn} == {"a", "b"}


def _told(search: Search, count: int) -> list[Any]:
    settings = []
    for _ in range(count):
        settings.append(search.drawn())
        search.tell(settings[-1], 0.0)
    return settings


def test_the_search_comes_closer_to_what_is_good() -> None:
    def distances(search: Search) -> list[float]:
        found = []
        for _ in range(40):
            setting: Any = search.drawn()
            found.append(abs(setting.values["x"] - 70.0))
            search.tell(setting, -found[-1])
        return found

    found = [distances(Search({"x": {"low": 0, "high": 100}}, seed, 40)) for seed in range(3)]
    assert np.mean([one[20:] for one in found]) < 0.6 * np.mean([one[:8] for one in found])


def test_the_given_setting_counts_for_the_search_where_the_space_holds_it() -> None:
    space: dict[str, Any] = {"leaves": [4, 8], "rows": {"low": 1, "high": 9, "log": True, "whole": True}}
    for values, held in (({"leaves": 8, "rows": 3.0}, True), ({"leaves": 5, "rows": 3}, False)):
        search = Search(space, seed=0, trials=5)
        setting = search.given(values)
        search.tell(setting, 1.0)
        assert setting.values == values
        assert search._study.trials[0].params == ({"leaves": 1, "rows": 3} if held else {})


@dataclass(frozen=True)
class Counts:
    """Predicts `value`, and notes on how many examples it learned."""

    value: float = 0.0

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Predictor:
        LOOKS.append((self.value, len(train)))
        return _Said(self.value)


@dataclass(frozen=True)
class Lists:
    """Recommends nothing, and notes on how many examples it learned."""

    value: float = 0.0

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Predictor:
        LOOKS.append((self.value, len(train)))
        return _Listed()


@dataclass(frozen=True)
class _Listed:
    def predict(self, examples: Examples) -> NDArray[np.int64]:
        return np.full((len(examples), examples.task.eval_k or 1), -1)


LOOKS: list[tuple[float, int]] = []


def test_a_setting_that_looks_bad_on_few_examples_is_given_up(shop: Shop) -> None:
    train, valid = world(shop)
    many = train.take(np.arange(10 * LEAST_EXAMPLES) % len(train))
    middle = float(np.median(valid.values))
    LOOKS.clear()
    tuned = Tuned(Counts(middle), {"value": {"low": middle, "high": middle + 1000}})
    found = tuned.fit(many, valid, Budget(trials=20))
    whole = [value for value, rows in LOOKS if rows == len(many)]
    assert sum(rows == LEAST_EXAMPLES for _, rows in LOOKS) == 20
    assert whole[0] == middle and 4 <= len(whole) < 18
    assert found.notes["tuned"] == {"finished": len(whole), "given_up": 20 - len(whole), "chosen": {"value": middle}}
    LOOKS.clear()
    replace(tuned, first_look=0).fit(many, valid, Budget(trials=20))
    assert [rows for _, rows in LOOKS] == [len(many)] * 20


def test_recommendations_have_no_first_look(shop: Shop) -> None:
    """Nothing of a fit is kept for the next one there, so the first of two would be in vain."""
    ranked = shop.examples(TaskType.RECOMMENDATION, (60, 80), 100)
    many = ranked.take(np.arange(10 * LEAST_EXAMPLES) % len(ranked))
    LOOKS.clear()
    Tuned(Lists(), {"value": [1.0]}).fit(many, shop.examples(TaskType.RECOMMENDATION, (100,), 100), Budget(trials=2))
    assert [rows for _, rows in LOOKS] == [len(many)] * 2


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"valeu": [1]}, "no hyperparameter 'valeu'.*'value'"),
        ({"value": []}, "list of values"),
        ({"value": "abc"}, "list of values"),
        ({"value": {"low": 1}}, "low, high"),
        ({"value": {"low": 2, "high": 1}}, "low ≤ high"),
        ({"value": {"low": 0, "high": 1, "log": True}}, "above 0"),
        ({"value": {"low": 0.2, "high": 0.8, "whole": True}}, "no whole number"),
    ],
)
def test_a_bad_space_is_named(space: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Tuned(Says(), space)


def test_tuned_trees_do_no_worse_and_compute_features_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    train, valid = world(shop)
    method = BoostedTrees(
        features=[Windows(days=(20, 90), hops=1)], n_estimators=20, learning_rate=0.1, ensemble_size=1, min_rows=5
    )
    computed = []
    original = type(Windows().fit(train)).transform
    monkeypatch.setattr(
        type(Windows().fit(train)), "transform", lambda self, e: (computed.append(len(e)), original(self, e))[1]
    )
    tuned = Tuned(method, {"num_leaves": [2, 4, 16], "l2": {"low": 0.01, "high": 10, "log": True}})
    found = tuned.fit(train, valid, Budget(trials=5, threads=1))
    after_five = len(computed)
    alone = method.fit(train, valid, Budget(threads=1))
    assert after_five <= 4
    assert quality(valid, found.predict(valid)) >= quality(valid, alone.predict(valid))


def test_averages_over_seeds_and_refits(shop: Shop) -> None:
    train, valid = world(shop)
    model = Averaged(Says(shaky=True), n=3).fit(train, valid, Budget(seed=2))
    assert set(np.asarray(model.predict(valid))) == {2001.0}
    assert set(np.asarray(model.refit(train).predict(valid))) == {2101.0}  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="n=0"):
        Averaged(Says(), n=0)


def test_rankings_are_fused_by_reciprocal_rank() -> None:
    one, two = np.asarray([[1, 2, 3], [5, -1, -1]]), np.asarray([[2, 4, 1], [-1, -1, -1]])
    np.testing.assert_array_equal(fused([one, two]), [[2, 1, 4], [5, -1, -1]])


def test_averaged_recommendations_name_items_once(shop: Shop) -> None:
    kind = TaskType.RECOMMENDATION
    train, valid = shop.examples(kind, (60, 80), 100), shop.examples(kind, (100,), 100)
    method = Averaged(BoostedTrees(n_estimators=10, learning_rate=0.1), n=2)
    answer = np.asarray(method.fit(train, valid, Budget(threads=1)).predict(replace(valid, labels=None)))
    assert all(len(set(row[row >= 0])) == (row >= 0).sum() for row in answer)
    assert quality(valid, answer) > 0.6
