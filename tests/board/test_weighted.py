"""Metrics under weights are the metrics of `protocol.metrics` on repeated rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_examples import examples_of, predictions_of

from relbench_harness.board.weighted import MAKERS, by_rows, entities_of, statistic
from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError


@pytest.mark.parametrize("type_", TaskType)
@given(seed=st.integers(0, 10**6), entity=st.lists(st.integers(0, 8), min_size=2, max_size=40), ties=st.booleans())
@settings(max_examples=12)
def test_the_quick_way_is_the_slow_way(type_: TaskType, seed: int, entity: list[int], ties: bool) -> None:
    random = np.random.default_rng(seed)
    examples = examples_of(type_, entity, random)
    predictions = predictions_of(type_, len(examples), random, ties)
    entities = entities_of(examples)
    counts = random.integers(0, 3, (4, entities.number)).astype(np.float64)
    counts[0] = 1
    counts[1:, 0] += counts[1:].sum(axis=1) == 0
    metrics = examples.score(predictions)
    assert set(metrics) == set(MAKERS[type_])
    for metric in metrics:
        quick = statistic(metric, examples, predictions, entities)(counts)
        slow = by_rows(metric, examples, predictions, entities)(counts)
        np.testing.assert_allclose(quick, slow, rtol=1e-9, atol=1e-12, err_msg=metric)
        np.testing.assert_allclose(quick[0], metrics[metric], rtol=1e-11, atol=1e-12, err_msg=metric)


def test_an_unknown_metric_is_named() -> None:
    examples = examples_of(TaskType.BINARY, [0, 1], np.random.default_rng(0))
    with pytest.raises(InputError, match="has no metric 'roc'; did you mean 'roc_auc'"):
        statistic("roc", examples, np.array([0.1, 0.2]), entities_of(examples))


def test_labels_that_are_all_equal_have_the_r2_of_scikit_learn() -> None:
    examples = examples_of(TaskType.REGRESSION, [0, 0, 1], np.random.default_rng(0))
    labels = examples.labels
    assert isinstance(labels, np.ndarray)
    labels[:2] = 0.1
    for predictions in (np.array([0.1, 0.1, 5.0]), np.array([0.1, 0.2, 5.0])):
        counts = np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
        entities = entities_of(examples)
        quick = statistic("r2", examples, predictions, entities)(counts)
        np.testing.assert_allclose(quick, by_rows("r2", examples, predictions, entities)(counts), atol=1e-12)
