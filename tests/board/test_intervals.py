"""Intervals by a bootstrap over entities and seeds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from random_examples import examples_of, predictions_of

from relbench_harness.board.intervals import bounds, expanded_tail, interval, over_seeds, resampled, true_tail
from relbench_harness.board.predictions import SplitLabels
from relbench_harness.board.weighted import MAKERS, by_rows, entities_of
from relbench_harness.data.task import TaskType

SURVIVAL = [94.0, 197.0, 16.0, 38.0, 99.0, 141.0, 23.0]
"""Days that treated mice lived (Efron and Tibshirani, An Introduction to the Bootstrap, table 2.1)."""


def numbers(values: list[float], entity: list[int] | None = None) -> SplitLabels:
    """Examples of a regression task whose MAE is the mean of `values` where 0 is predicted."""
    about = np.arange(len(values)) if entity is None else np.asarray(entity)
    made = examples_of(TaskType.REGRESSION, about, np.random.default_rng(0))
    return replace(made, labels=np.asarray(values))


def test_the_standard_error_of_a_mean_is_the_textbooks() -> None:
    """Their table 2.2: the bootstrap's standard error of the treated mice's mean tends to 23.36."""
    made = resampled("mae", numbers(SURVIVAL), [np.zeros(7)], draws=40_000)
    assert float(made.drawn.std()) == pytest.approx(23.36, abs=0.25)
    assert made.actual[0] == pytest.approx(86.857, abs=1e-3)


def test_examples_of_an_entity_are_drawn_together() -> None:
    """Rows that repeat an entity's first one say nothing new."""
    once = resampled("mae", numbers(SURVIVAL), [np.zeros(7)])
    thrice = resampled("mae", numbers(SURVIVAL * 3, [*range(7)] * 3), [np.zeros(21)])
    np.testing.assert_allclose(once.drawn, thrice.drawn)


@pytest.mark.parametrize("type_", TaskType)
def test_the_slow_way_gives_the_same_interval(type_: TaskType, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(5)
    examples = examples_of(type_, random.integers(0, 12, 40), random)
    runs = [predictions_of(type_, 40, random) for _ in range(2)]
    metrics = list(MAKERS[type_])
    quick = {metric: interval(metric, examples, runs, draws=20) for metric in metrics}
    monkeypatch.setitem(MAKERS, type_, {})  # type: ignore[arg-type]
    for metric in metrics:
        slow = interval(metric, examples, runs, draws=20)
        np.testing.assert_allclose(quick[metric], slow, rtol=1e-9, atol=1e-12)
        assert slow.low <= slow.value <= slow.high


def test_draws_are_the_same_each_time_and_in_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    examples = examples_of(TaskType.BINARY, random.integers(0, 30, 200), random)
    runs = [predictions_of(TaskType.BINARY, 200, random)]
    first = interval("roc_auc", examples, runs)
    monkeypatch.setattr("relbench_harness.board.intervals.CELLS", 900)
    assert interval("roc_auc", examples, runs) == first
    assert interval("roc_auc", examples, runs, seed=1) != first


def test_draws_of_one_class_are_left_out_and_counted() -> None:
    examples = replace(examples_of(TaskType.BINARY, range(5), np.random.default_rng(0)), labels=np.array([1.0, 0, 0, 0, 0]))
    found = interval("roc_auc", examples, [np.array([0.9, 0.1, 0.2, 0.3, 0.4])])
    # a draw lacks the only positive with probability 0.8 ** 5, or holds nothing else with 0.2 ** 5
    assert found.undefined == pytest.approx(1000 * (0.8**5 + 0.2**5), abs=50)
    assert found.draws + found.undefined == 1000
    assert (found.value, found.low, found.high) == (1, 1, 1)


def test_without_two_entities_or_two_classes_there_is_no_interval() -> None:
    alone = interval("mae", numbers(SURVIVAL, [0] * 7), [np.zeros(7)])
    assert alone.value == pytest.approx(86.857, abs=1e-3) and math.isnan(alone.low) and math.isnan(alone.high)
    one_class = replace(examples_of(TaskType.BINARY, range(5), np.random.default_rng(0)), labels=np.zeros(5))
    found = interval("roc_auc", one_class, [np.linspace(0, 1, 5)])
    assert math.isnan(found.value) and math.isnan(found.low) and (found.draws, found.undefined) == (0, 1000)


def test_the_variance_of_a_mean_over_few_seeds_is_not_understated() -> None:
    """Draws of three of three runs have two thirds of the variance of the mean; the scaled ones have all of it."""
    values = np.repeat([[1.0], [2.0], [6.0]], 100_000, axis=1)
    drawn = over_seeds(values, 0, 0)
    assert float(drawn.mean()) == pytest.approx(3, abs=0.02)
    assert float(drawn.var()) == pytest.approx(np.var([1, 2, 6], ddof=1) / 3, rel=0.02)
    assert not np.array_equal(drawn, over_seeds(values, 0, 1))
    assert np.array_equal(over_seeds(values[:1], 0, 0), values[0])


def test_tails_are_moved_by_the_t_distribution() -> None:
    """t(0.975) with 9 degrees of freedom is 2.262 in every table, and 1.96 is the normal curve's."""
    from scipy.stats import norm

    assert float(norm.ppf(expanded_tail(0.025, 10))) == pytest.approx(-2.262 * math.sqrt(10 / 9), abs=1e-3)
    assert expanded_tail(0.025, 10**6) == pytest.approx(0.025, abs=1e-5)
    assert true_tail(expanded_tail(0.025, 7), 7) == pytest.approx(0.025)


def test_the_ends_are_quantiles() -> None:
    low, high = bounds(np.linspace(0, 1, 10_001), 10**6)
    assert (low, high) == (pytest.approx(0.025, abs=1e-4), pytest.approx(0.975, abs=1e-4))


def test_any_metric_can_go_the_slow_way() -> None:
    random = np.random.default_rng(1)
    examples = examples_of(TaskType.MULTICLASS, [0, 0, 1, 2], random)
    predictions = predictions_of(TaskType.MULTICLASS, 4, random)
    entities = entities_of(examples)
    assert np.isnan(by_rows("accuracy", examples, predictions, entities)(np.zeros((1, 3)))).all()
