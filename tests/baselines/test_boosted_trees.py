"""Boosted trees learn, on every type of task, the same twice; SHAP values add up; stale training is really stale."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from relbench_harness.baselines.boosted_trees import BoostedTrees, FittedTrees
from relbench_harness.baselines.boosting import Growth, Matrix, Target, best_round, grow_bag, rooted, unrooted, usual_rounds
from relbench_harness.baselines.quality import quality
from relbench_harness.baselines.selection import Remembered, identity
from relbench_harness.baselines.staleness import WAYS, gaps, origins, stale

from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.features.block import Block, within
from relbench_harness.features.dfs.synthesis import DeepFeatureSynthesis
from relbench_harness.features.entity import EntityColumns
from relbench_harness.features.windows import Windows
from relbench_harness.protocol.method import Budget, Examples

if TYPE_CHECKING:
    from .conftest import Shop

DAY = 86_400_000_000_000
TRAIN, VALID, TEST = (60, 80, 100, 120, 140, 160, 180), (200,), (240,)
BLOCKS = [EntityColumns(), Windows(days=(20, 90))]
SMALL = BoostedTrees(features=BLOCKS, rounds=60, learning_rate=0.1, bags=2, min_rows=5, patience=20)
BUDGET = Budget(threads=1)


def fitted(shop: Shop, kind: TaskType, method: BoostedTrees, budget: Budget = BUDGET) -> FittedTrees:
    train = shop.examples(kind, TRAIN, 200)
    predictor = method.fit(train, shop.examples(kind, VALID, 200), budget)
    assert isinstance(predictor, FittedTrees)
    return predictor


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
@pytest.mark.parametrize(
    ("kind", "floor"),
    [
        (TaskType.BINARY, 0.9),
        (TaskType.REGRESSION, -1.6),
        (TaskType.MULTICLASS, 0.6),
        (TaskType.MULTILABEL, 0.85),
    ],
)
def test_it_learns_every_type_of_task_the_same_twice(shop: Shop, library: str, kind: TaskType, floor: float) -> None:
    method = replace(SMALL, library=library)
    test = shop.examples(kind, TEST, 200)
    questions = replace(test, labels=None)
    answers = fitted(shop, kind, method).predict(questions)
    assert quality(test, answers) > floor
    np.testing.assert_array_equal(answers, fitted(shop, kind, method).predict(questions))
    if kind in (TaskType.MULTICLASS, TaskType.MULTILABEL):
        assert answers.shape[1] == (3 if kind is TaskType.MULTICLASS else 2)


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
@pytest.mark.parametrize("kind", [TaskType.BINARY, TaskType.MULTICLASS, TaskType.REGRESSION])
def test_contributions_add_up_to_the_margin(shop: Shop, library: str, kind: TaskType) -> None:
    model = fitted(shop, kind, replace(SMALL, library=library, rounds=20))
    test = shop.examples(kind, TEST, 200)
    found = model.contributions(test)
    assert found.values.shape[2] == len(found.names)
    np.testing.assert_allclose(found.base + found.values.sum(axis=2), model.margins(test), rtol=1e-4, atol=1e-4)
    strongest = found.names[int(np.abs(found.values).sum(axis=(0, 1)).argmax())]
    assert strongest.startswith("orders[customer]")


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_quantiles_are_ordered_and_cover(shop: Shop, library: str) -> None:
    model = fitted(shop, TaskType.REGRESSION, replace(SMALL, library=library, quantiles=[0.9, 0.1, 0.5]))
    test = shop.examples(TaskType.REGRESSION, TEST, 200)
    levels = model.quantiles(test)
    assert levels.shape == (len(test), 3)
    assert (np.diff(levels, axis=1) >= 0).all()
    covered = ((test.values >= levels[:, 0]) & (test.values <= levels[:, 2])).mean()
    assert 0.55 < covered <= 1
    np.testing.assert_allclose(model.predict(test), np.median(levels, axis=1), atol=1.0)


def test_quantiles_must_be_asked_for(shop: Shop) -> None:
    model = fitted(shop, TaskType.REGRESSION, replace(SMALL, rounds=3))
    with pytest.raises(InputError, match="without quantiles"):
        model.quantiles(shop.examples(TaskType.REGRESSION, TEST, 200))


@pytest.mark.parametrize("kind", [TaskType.BINARY, TaskType.REGRESSION, TaskType.MULTICLASS, TaskType.MULTILABEL])
def test_constant_labels_and_no_features_give_the_constant(shop: Shop, kind: TaskType) -> None:
    train, valid = shop.examples(kind, TRAIN, 200, constant=True), shop.examples(kind, VALID, 200, constant=True)
    answers = SMALL.fit(train, valid, BUDGET).predict(valid)
    assert len(np.unique(np.asarray(answers).round(6), axis=0)) == 1
    bare = replace(SMALL, features=[]).fit(shop.examples(kind, TRAIN, 200), valid, BUDGET).predict(valid)
    assert np.isfinite(np.asarray(bare, dtype=float)).all()


def test_one_class_in_validation_is_no_obstacle(shop: Shop) -> None:
    train = shop.examples(TaskType.BINARY, TRAIN, 200)
    valid = shop.examples(TaskType.BINARY, VALID, 200, constant=True)
    for library in ("xgboost", "lightgbm"):
        answers = replace(SMALL, library=library).fit(train, valid, BUDGET).predict(valid)
        assert np.isfinite(np.asarray(answers, dtype=float)).all()


def test_refit_keeps_rounds_and_learns_from_more(shop: Shop) -> None:
    model = fitted(shop, TaskType.REGRESSION, SMALL)
    more = shop.examples(TaskType.REGRESSION, (*TRAIN, *VALID), 220)
    again = model.refit(more)
    assert [h.bags["fresh"].rounds for h in again.heads] == [h.bags["fresh"].rounds for h in model.heads]
    test = shop.examples(TaskType.REGRESSION, TEST, 220)
    assert (again.predict(test) != model.predict(test)).any()
    assert quality(test, again.predict(test)) > -1.6


def test_future_rows_do_not_matter(shop: Shop) -> None:
    """Fitted and asked on the whole database or on the rows before the questions: the same answers."""
    model = fitted(shop, TaskType.BINARY, replace(SMALL, rounds=15))
    test = shop.examples(TaskType.BINARY, TEST, 200)
    cut = replace(test, database=shop.database.upto(240 * DAY))
    np.testing.assert_array_equal(model.predict(test), model.predict(cut))


def test_many_columns_are_cut_down(shop: Shop) -> None:
    model = fitted(shop, TaskType.BINARY, replace(SMALL, most_features=5))
    names = model.contributions(shop.examples(TaskType.BINARY, TEST, 200)).names
    assert 0 < len(names) <= 5
    assert any("orders" in name for name in names)


# -- staleness --------------------------------------------------------------------------------------------------------


def stale_world(shop: Shop) -> tuple[Examples, Examples]:
    train = shop.examples(TaskType.REGRESSION, TRAIN, 200)
    late = [shop.examples(TaskType.REGRESSION, (200 + gap,), 200, gap=gap) for gap in (0, 20)]
    valid = replace(
        late[0],
        entity=np.concatenate([e.entity for e in late]),
        time=np.concatenate([e.time for e in late]),
        cutoff=np.concatenate([e.cutoff for e in late]),
        labels=np.concatenate([e.values for e in late]),
    )
    return train, valid


def test_stale_questions_see_as_little_as_later_ones(shop: Shop) -> None:
    train, valid = stale_world(shop)
    ages = gaps(valid)
    assert sorted(ages // DAY) == [0, 20]
    old = stale(train, ages, seed=0)
    assert set((old.time - old.cutoff) // DAY) == {0, 20}
    assert (old.cutoff <= train.cutoff).all() and (old.time == train.time).all()


def test_rehearsals_stay_inside_the_training_data(shop: Shop) -> None:
    train, valid = stale_world(shop)
    found = list(origins(train, gaps(valid), most=2))
    assert found
    for before, asked in found:
        origin = int(asked.cutoff.min())
        assert (train.time[before] + 20 * DAY <= asked.time.min()).all()
        assert (asked.cutoff <= asked.time).all() and asked.cutoff.max() == origin
        assert asked.time.max() < 200 * DAY


@pytest.mark.parametrize("way", ["auto", *WAYS])
def test_every_way_answers(shop: Shop, way: str) -> None:
    train, valid = stale_world(shop)
    model = replace(SMALL, rounds=20, staleness=way).fit(train, valid, BUDGET)
    assert isinstance(model, FittedTrees)
    assert model.staleness == way or (way == "auto" and model.staleness in WAYS)
    assert set(model.heads[0].bags) == set(WAYS[model.staleness])
    assert quality(valid, model.predict(valid)) > -2.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"library": "catboost"}, "not 'catboost'"),
        ({"error": "cubic"}, "error='cubic'"),
        ({"staleness": "old"}, "staleness='old'"),
        ({"quantiles": [1.5]}, "between 0 and 1"),
        ({"bags": 0}, "at least 1 forest"),
        ({"leaves": 1}, "leaves"),
    ],
)
def test_bad_settings_are_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(SMALL, **change)  # type: ignore[arg-type]


def test_a_lucky_first_round_is_not_kept() -> None:
    curve = np.concatenate([[0.9], np.linspace(0.6, 0.8, 60), np.linspace(0.8, 0.7, 60)])
    assert abs(best_round(curve.tolist(), "auc", 0.1, 10**6, 40) - 61) < 5
    assert abs(best_round((1 - curve).tolist(), "mae", 0.1, 10**6, 40) - 61) < 5
    assert abs(best_round((1 - curve).tolist(), "binary_logloss", 0.1, 10**6, 40) - 61) < 5
    assert best_round([0.5], "auc", 0.03, 10**6, 40) == 1


def test_a_small_validation_hardly_moves_the_number_of_rounds() -> None:
    curve = np.linspace(0.6, 0.8, 1000).tolist()
    few, more, many = (best_round(curve, "auc", 0.05, questions, 80) for questions in (50, 300, 10**6))
    assert 80 <= few < 90 < more < 150 and many > 900


def test_few_training_questions_usually_end_growing_early() -> None:
    rows = Matrix(np.zeros((6000, 1), np.float32), np.zeros(6000), np.zeros(1, bool), time=np.arange(6000))
    assert usual_rounds(rows, 0.05) == 80
    assert usual_rounds(rows.take(np.arange(750)), 0.05) == 20
    assert usual_rounds(replace(rows, time=np.zeros(6000, np.int64)), 0.05) < 21
    assert usual_rounds(replace(rows, time=None), 0.05) == 80


def test_what_a_time_shares_is_not_learned_and_few_times_are_not_trusted() -> None:
    time = np.repeat([1, 2, 3], [300, 300, 50])
    labels = np.repeat([1.0, 3.0, 9.0], [300, 300, 50]) + np.tile([-0.5, 0.5], 325)
    rows = Matrix(np.zeros((650, 1), np.float32), labels, np.zeros(1, bool), time=time)
    level = rows.levelled().labels
    np.testing.assert_allclose([level[:300].mean(), level[300:600].mean()], labels.mean())
    np.testing.assert_array_equal(level[600:], labels[600:])
    assert rows.weight < rows.take(np.arange(0, 650, 2)).weight * 2
    assert replace(rows, time=np.arange(650)).weight == 650
    assert replace(rows, time=np.zeros(650, np.int64)).weight == pytest.approx(10 * 650**0.5)
    assert replace(rows, time=None).weight == 650


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_skewed_labels_are_answered_by_their_middle(library: str) -> None:
    """Half of the labels are zero, some are huge: the mean is a bad answer, and which column tells is learned all the same."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=(3000, 4)).astype(np.float32)
    size = np.exp(2 * values[:, 0] + rng.normal(size=3000))
    labels = np.where(values[:, 1] > 0, size, 0.0)
    rows, growth = Matrix(values, labels, np.zeros(4, bool)), Growth(library=library, learning_rate=0.1)
    found = {
        objective: growth.grow(Target(objective), rows.take(np.arange(2000)), None, 100, 0, BUDGET).margins(values[2000:])[
            :, 0
        ]
        for objective in ("root", "squared")
    }
    found["root"] = unrooted(found["root"])
    error = {objective: np.abs(answer - labels[2000:]).mean() for objective, answer in found.items()}
    assert error["root"] < 0.85 * error["squared"]
    np.testing.assert_allclose(unrooted(rooted(np.array([-4.0, 0, 9]))), [-4, 0, 9])


def test_equal_questions_about_other_rows_are_not_taken_for_known(shop: Shop) -> None:
    test = shop.examples(TaskType.BINARY, TEST, 200)
    orders = shop.database["orders"]
    amount = pa.array(orders.rows.column("amount").to_numpy()[::-1].copy())
    column = orders.rows.column_names.index("amount")
    other = replace(orders, rows=orders.rows.set_column(column, "amount", amount))
    changed = type(shop.database)([other, shop.database["customers"], shop.database["products"]])
    assert identity(test) == identity(replace(test, labels=None))
    assert identity(test) != identity(replace(test, database=changed))
    assert identity(test) != identity(replace(test, cutoff=test.cutoff - 1))


def test_a_block_told_of_the_memory_keeps_a_limit_of_its_own() -> None:
    given = (DeepFeatureSynthesis(), DeepFeatureSynthesis(memory_mb=7), Remembered(DeepFeatureSynthesis()), EntityColumns())
    told = [within(block, 1000) for block in given]
    assert told == [
        DeepFeatureSynthesis(memory_mb=500),
        given[1],
        Remembered(DeepFeatureSynthesis(memory_mb=500)),
        given[3],
    ]
    assert [within(block, None) for block in given] == list(given)


def test_features_are_told_of_the_budget_s_memory(shop: Shop) -> None:
    told = []

    class Listening(EntityColumns):
        def within(self, memory_mb: int) -> Block:
            told.append(memory_mb)
            return self

    fitted(shop, TaskType.BINARY, replace(SMALL, features=(Listening(),)), replace(BUDGET, memory_mb=4000))
    assert told == [4000]


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
@pytest.mark.parametrize("target", [Target("multiclass", classes=3), Target("absolute"), Target("root")])
def test_without_a_validation_row_the_usual_rounds_are_grown(library: str, target: Target) -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(600, 4))
    train = Matrix(values, np.digitize(values[:, 0], [-0.5, 0.5]).astype(np.float64), np.zeros(4, bool))
    nothing = Matrix(values[:0], train.labels[:0], train.categorical)
    growth = Growth(library=library, learning_rate=0.1, rounds=100)  # type: ignore[arg-type]
    usual = round(usual_rounds(train, 0.1))
    assert 1 < usual < 100
    bag = grow_bag(growth, target, train, nothing, (100, 3), Budget(threads=1))
    assert bag.rounds == (usual, 3)
    assert np.isfinite(bag.margins(values)).all()
