"""Paired differences: interval, p-value, Holm's correction and the sentence."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_examples import examples_of, predictions_of

from relbench_harness.board.paired import Difference, against, holm, in_words, p_value, paired
from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError

RANDOM = np.random.default_rng(3)
EXAMPLES = examples_of(TaskType.BINARY, RANDOM.integers(0, 40, 139), RANDOM)
GOOD = np.asarray(EXAMPLES.labels) * 0.4 + RANDOM.random(139) * 0.6
OTHER = predictions_of(TaskType.BINARY, 139, RANDOM)


def test_holms_correction_is_the_textbooks() -> None:
    """Four p-values worked out by hand after Holm (1979): the smallest times 4, the next times 3, and so on, never falling."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.4, 0.9]) == pytest.approx([0.8, 0.9])
    assert holm([0.7, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_what_has_no_p_value_does_not_count() -> None:
    first, second, third = holm([0.01, math.nan, 0.04])
    assert (first, third) == (pytest.approx(0.02), pytest.approx(0.04)) and math.isnan(second)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holms_correction_rejects_what_his_steps_reject(p: list[float]) -> None:
    rejected: set[int] = set()
    for step, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        if p[i] * (len(p) - step) > 0.05:
            break
        rejected.add(i)
    assert {i for i, value in enumerate(holm(p)) if value <= 0.05} == rejected


def test_a_method_does_not_differ_from_itself() -> None:
    found = paired("roc_auc", EXAMPLES, [GOOD], [GOOD])
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)
    assert in_words(found, True).endswith("on 139 examples: no difference shown")


def test_the_other_way_round_is_the_same_difference() -> None:
    there, back = (paired("roc_auc", EXAMPLES, *runs) for runs in (([GOOD], [OTHER]), ([OTHER], [GOOD])))
    assert there.shown and there.difference > 0.2
    assert (back.difference, back.low, back.high) == pytest.approx((-there.difference, -there.high, -there.low))
    assert back.p == pytest.approx(there.p)


def test_examples_in_common_make_the_interval_narrow() -> None:
    from relbench_harness.board.intervals import interval

    near = GOOD + 0.02 * np.random.default_rng(0).random(139)
    apart = interval("roc_auc", EXAMPLES, [GOOD])
    together = paired("roc_auc", EXAMPLES, [near], [GOOD])
    assert together.high - together.low < (apart.high - apart.low) / 4


def test_other_methods_change_nothing_but_the_correction() -> None:
    methods = {"a": [GOOD], "b": [OTHER], "c": [OTHER + 0.1 * GOOD, GOOD]}
    alone, all_ = (
        against("a", "roc_auc", EXAMPLES, {k: methods[k] for k in "ab"}),
        against("a", "roc_auc", EXAMPLES, methods),
    )
    assert list(all_) == ["b", "c"]
    assert all_["b"]._replace(corrected=0) == alone["b"]._replace(corrected=0)
    assert alone["b"].corrected == alone["b"].p
    assert all_["b"].corrected >= all_["b"].p
    with pytest.raises(InputError, match="no method 'd' to compare with; known: a, b, c"):
        against("d", "roc_auc", EXAMPLES, methods)


def test_a_clear_difference_survives_the_correction_for_many_methods() -> None:
    """With a thousand draws the share of draws beyond zero alone gives no p-value below 0.002."""
    assert holm([p_value(np.random.default_rng(0).normal(8, 1, 1000), 200)] * 100)[0] < 1e-6


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0, 1.8, 2.4, 3.6])
def test_the_p_value_goes_with_the_interval(shift: float) -> None:
    from scipy.stats import norm

    from relbench_harness.board.intervals import bounds

    drawn = norm.ppf((np.arange(1000) + 0.5) / 1000) + shift
    for entities in (5, 30, 10_000):
        low, high = bounds(drawn, entities)
        assert (p_value(drawn, entities) < 0.05) == (not low <= 0 <= high)
    assert p_value(drawn, 10**6) == pytest.approx(2 * norm.cdf(-shift), abs=0.003)


@pytest.mark.parametrize(
    ("first", "second", "corrected", "higher", "sentence"),
    [
        (0.981, 0.976, 0.4, True, "0.981 against 0.976 on 1,390 examples: no difference shown"),
        (0.981, 0.951, 0.01, True, "0.981 against 0.951 on 1,390 examples: better by 0.030 (95 % interval 0.020 to 0.040, p = 0.010)"),
        (0.981, 0.951, 1e-9, False, "0.981 against 0.951 on 1,390 examples: worse by 0.030 (95 % interval 0.020 to 0.040, p < 0.001)"),
        (0.951, 0.981, 0.01, False, "0.951 against 0.981 on 1,390 examples: better by 0.030 (95 % interval 0.020 to 0.040, p = 0.010)"),
        (0.9, 0.9, math.nan, True, "0.900 against 0.900 on 1,390 examples: too few entities to tell"),
    ],
)  # fmt: skip
def test_the_sentence(first: float, second: float, corrected: float, higher: bool, sentence: str) -> None:
    d = first - second
    found = Difference(first, second, d, d - 0.01, d + 0.01, 0.004, corrected, 1000, 0, 1390, 40)
    assert in_words(found, higher) == sentence


def test_what_differs_is_not_printed_as_equal() -> None:
    found = Difference(0.98112, 0.98108, 0.00004, 0.00001, 0.00007, 0.01, 0.01, 1000, 0, 139, 40)
    assert in_words(found, True).startswith("0.98112 against 0.98108 on 139 examples: better by 0.00004")
