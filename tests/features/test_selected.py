"""Columns that are wanted have the values that they have among all columns, however they were chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from made_examples import examples_about
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.features import selected
from relbench_harness.features.block import Column, Features, FeatureUnion
from relbench_harness.features.context import ParentContext
from relbench_harness.features.dfs.synthesis import DeepFeatureSynthesis
from relbench_harness.features.entity import Calendar, EntityColumns
from relbench_harness.features.selected import Screening, divided, fit_selected, names_of
from relbench_harness.features.windows import Windows
from relbench_harness.protocol.method import Examples

UNION = FeatureUnion(
    (EntityColumns(), Calendar(), Windows(days=(1, 3)), DeepFeatureSynthesis(primitives=("sum", "mean", "count", "mode")))
)


def test_few_columns_are_all_kept_but_for_those_that_say_nothing(shop: Database) -> None:
    stages = [examples_about(shop, "customers", [0, 1, 2], [d, d, d + 1]) for d in (2, 3)]

    def rank(features: Sequence[Features]) -> NDArray[np.float64]:
        raise AssertionError("there is nothing to choose")

    block, found, *_ = fit_selected(UNION, stages, None, Screening(rank, most=1000, views=2))
    whole = [UNION.fit(stages[0]).transform(stage) for stage in stages]
    values = np.concatenate([features.to_matrix() for features in whole])
    varies = [len({str(value) for value in column}) > 1 for column in values.T]
    kept = [name for name, keep in zip(whole[0].names, varies, strict=True) if keep]
    assert 20 < len(kept) < len(varies)
    for stage, expected, features in zip(stages, whole, found, strict=True):
        assert features.names == kept == block.transform(stage).names
        np.testing.assert_array_equal(features.to_matrix(), expected.select(kept).to_matrix())


@pytest.mark.parametrize("on_a_sample", [False, True])
@pytest.mark.parametrize("at_once", [12, 30, 1000])
def test_the_best_columns_are_found_whatever_can_be_held_at_once(shop: Database, on_a_sample: bool, at_once: int) -> None:
    stages = [examples_about(shop, "customers", [0, 1, 2], [d, d, d + 1]) for d in (2, 3)]
    sample = [stages[0]] if on_a_sample else None
    held = []

    def rank(features: Sequence[Features]) -> NDArray[np.float64]:
        held.append(len(features[0].columns))
        # columns are worth what they have in the first example, those without are worth nothing
        return np.asarray([np.nan_to_num(column.numbers[0]) for column in features[0].columns])

    block, found, *_ = fit_selected(UNION, stages, sample, Screening(rank, most=6, at_once=at_once))
    whole = UNION.fit(stages[0])
    worth = rank([whole.transform(stages[0])])
    assert max(held[:-1]) <= max(at_once, 6)
    kept = block.transform(stages[0])
    assert len(kept.columns) == 6 and sorted(rank([kept])) == sorted(worth)[-6:]
    for stage, features in zip(stages, found, strict=True):
        expected = whole.transform(stage).select(features.names)
        np.testing.assert_array_equal(features.to_matrix(), expected.to_matrix())
        np.testing.assert_array_equal(block.transform(stage).to_matrix(), features.to_matrix())


@pytest.mark.parametrize("block", [Windows(), ParentContext(), DeepFeatureSynthesis()])
def test_a_divided_block_gives_the_columns_of_the_whole(shop: Database, block: Windows | ParentContext) -> None:
    examples = examples_about(shop, "lines", [0, 1, 2], [2, 3, 4])
    if not isinstance(block, ParentContext):
        examples = examples_about(shop, "customers", [0, 1, 2], [2, 3, 4])
    fitted = block.fit(examples)
    whole = fitted.transform(examples)
    assert names_of(fitted, examples) == whole.names
    parts = [part.transform(examples) for part in divided(fitted, examples, 7)]
    assert [name for part in parts for name in part.names] == whole.names
    assert max(len(part.columns) for part in parts) == 7
    np.testing.assert_array_equal(np.concatenate([part.to_matrix() for part in parts], axis=1), whole.to_matrix())


def test_blocks_that_have_no_turn_are_named(shop: Database) -> None:
    stages = [examples_about(shop, "customers", [0, 1, 2], [2, 2, 3])]
    found = fit_selected(UNION, stages, None, Screening(lambda features: np.ones(0), most=1000, seconds=-1.0))
    # the first block is computed whatever it costs: there is nothing to learn from without
    assert found.left_out == ("Calendar", "Windows", "DeepFeatureSynthesis")
    assert found.features[0].names == EntityColumns().fit(stages[0]).transform(stages[0]).names


def test_a_block_that_finds_no_time_gives_up_and_what_came_before_counts(shop: Database) -> None:
    stages = [examples_about(shop, "customers", [0, 1, 2], [2, 2, 3])]
    late = DeepFeatureSynthesis().fit(stages[0]).limited(0.0)
    with pytest.raises(TimeoutError, match="no time for all features"):
        late.transform(stages[0])
    in_time = DeepFeatureSynthesis().fit(stages[0])
    expected = in_time.transform(stages[0])
    found = in_time.limited(60).transform(stages[0])
    np.testing.assert_array_equal(found.to_matrix(), expected.to_matrix())


@dataclass(frozen=True)
class GivesUp:
    def fit(self, train: Examples) -> GivesUp:
        return self

    def transform(self, examples: Examples) -> Features:
        raise TimeoutError


def test_a_block_that_gave_up_is_named(shop: Database) -> None:
    stages = [examples_about(shop, "customers", [0, 1, 2], [2, 2, 3])]
    union = FeatureUnion((EntityColumns(), GivesUp(), Calendar()))
    found = fit_selected(union, stages, None, Screening(lambda features: np.ones(0), most=1000, seconds=60.0))
    assert found.left_out == ("GivesUp",)
    assert found.features[0].names[:1] == EntityColumns().fit(stages[0]).transform(stages[0]).names[:1]


@dataclass(frozen=True)
class Slow:
    """One column that takes `seconds` whenever it is computed, and `each` for every example, by the clock of `clock`."""

    name: str
    clock: list[float]
    seconds: float = 0.0
    each: float = 0.0

    def fit(self, train: Examples) -> Slow:
        return self

    def transform(self, examples: Examples) -> Features:
        self.clock[0] += self.seconds + self.each * len(examples)
        return Features(len(examples), (Column(self.name, np.arange(len(examples), dtype=np.float32)),))


# 1,000 examples, 20 of them in the sample; half of `seconds` may go into the columns of all
@pytest.mark.parametrize(
    ("seconds", "fixed", "each", "left_out"),
    [
        (np.inf, 0.0, 1.0, ()),
        (10_000.0, 0.0, 1.0, ()),
        (1_900.0, 0.0, 1.0, ("Slow",)),
        # a cost that does not grow with the examples is none the more for more of them
        (200.0, 20.0, 0.01, ()),
        (200.0, 20.0, 0.2, ("Slow",)),
    ],
)
def test_columns_that_are_too_dear_for_all_examples_are_left_out(
    shop: Database, monkeypatch: pytest.MonkeyPatch, seconds: float, fixed: float, each: float, left_out: tuple[str, ...]
) -> None:
    clock = [0.0]
    monkeypatch.setattr(selected.time, "monotonic", lambda: clock[0])
    stages = [examples_about(shop, "customers", [0, 1, 2, 2] * 250, [2, 2, 3, 4] * 250)]
    sample = [stages[0].take(np.arange(20))]
    union = FeatureUnion((Slow("dear", clock, fixed, each), EntityColumns(), Slow("cheap", clock)))
    screening = Screening(lambda features: np.ones(len(features[0].columns)), most=1000, seconds=seconds)
    found = fit_selected(union, stages, sample, screening)
    assert found.left_out == left_out
    assert ("dear" in found.features[0].names) == (not left_out)
    assert "cheap" in found.features[0].names
    np.testing.assert_array_equal(found.block.transform(stages[0]).to_matrix(), found.features[0].to_matrix())
