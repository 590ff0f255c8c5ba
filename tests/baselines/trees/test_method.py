"""Boosted trees learn, on every type of task, the same twice; SHAP values add up; features are few and computed once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_examples import all_labels
from relbench_harness.baselines.quality import quality
from relbench_harness.baselines.trees.fitted import FittedTrees
from relbench_harness.baselines.trees.method import BoostedTrees
from relbench_harness.baselines.trees.staleness import VIEWS
from shop import Shop, at

from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.features.block import Block
from relbench_harness.features.entity import EntityColumns
from relbench_harness.features.series import SeriesChoice
from relbench_harness.features.windows import Windows
from relbench_harness.protocol.method import Budget, Examples

TRAIN, VALID, TEST = (60, 80, 100, 120, 140, 160, 180), (200,), (240,)
BLOCKS = [EntityColumns(), Windows(rows=(5,), days=(20, 90), hops=1, choice=SeriesChoice(shares=0))]
SMALL = BoostedTrees(
    features=BLOCKS, n_estimators=40, learning_rate=0.1, ensemble_size=2, min_rows=5, early_stopping_rounds=20
)
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
    examples = replace(test, labels=None)
    answers = fitted(shop, kind, method).predict(examples)
    assert quality(test, answers) > floor
    np.testing.assert_array_equal(answers, fitted(shop, kind, method).predict(examples))
    if kind in (TaskType.MULTICLASS, TaskType.MULTILABEL):
        assert answers.shape[1] == (3 if kind is TaskType.MULTICLASS else 2)


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
@pytest.mark.parametrize("kind", [TaskType.BINARY, TaskType.MULTICLASS, TaskType.REGRESSION])
def test_contributions_add_up_to_the_margin(shop: Shop, library: str, kind: TaskType) -> None:
    model = fitted(shop, kind, replace(SMALL, library=library, n_estimators=20))
    test = shop.examples(kind, TEST, 200)
    found = model.contributions(test)
    assert found.values.shape[2] == len(found.names)
    np.testing.assert_allclose(found.base + found.values.sum(axis=2), model.margins(test), rtol=1e-4, atol=1e-4)
    strongest = found.names[int(np.abs(found.values).sum(axis=(0, 1)).argmax())]
    assert strongest.startswith("order[customer]")


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


def test_quantiles_that_were_not_learned_are_refused(shop: Shop) -> None:
    model = fitted(shop, TaskType.REGRESSION, replace(SMALL, n_estimators=3))
    with pytest.raises(InputError, match="without quantiles"):
        model.quantiles(shop.examples(TaskType.REGRESSION, TEST, 200))


@pytest.mark.parametrize("kind", [TaskType.BINARY, TaskType.REGRESSION, TaskType.MULTICLASS, TaskType.MULTILABEL])
def test_constant_labels_and_no_features_give_the_constant(shop: Shop, kind: TaskType) -> None:
    train, valid = (all_labels(shop.examples(kind, days, 200), 0) for days in (TRAIN, VALID))
    answers = SMALL.fit(train, valid, BUDGET).predict(valid)
    assert len(np.unique(np.asarray(answers).round(6), axis=0)) == 1
    bare = replace(SMALL, features=[]).fit(shop.examples(kind, TRAIN, 200), valid, BUDGET).predict(valid)
    assert np.isfinite(np.asarray(bare, dtype=float)).all()


def test_one_class_in_validation_is_no_obstacle(shop: Shop) -> None:
    train = shop.examples(TaskType.BINARY, TRAIN, 200)
    valid = all_labels(shop.examples(TaskType.BINARY, VALID, 200), 0)
    for library in ("xgboost", "lightgbm"):
        answers = replace(SMALL, library=library).fit(train, valid, BUDGET).predict(valid)
        assert np.isfinite(np.asarray(answers, dtype=float)).all()


def test_refit_keeps_rounds_and_learns_from_more(shop: Shop) -> None:
    model = fitted(shop, TaskType.REGRESSION, SMALL)
    more = shop.examples(TaskType.REGRESSION, (*TRAIN, *VALID), 220)
    again = model.refit(more)
    assert [e.n_estimators for e in again.ensembles["fresh"]] == [e.n_estimators for e in model.ensembles["fresh"]]
    test = shop.examples(TaskType.REGRESSION, TEST, 220)
    assert (again.predict(test) != model.predict(test)).any()
    assert quality(test, again.predict(test)) > -1.6


def test_future_rows_do_not_matter(shop: Shop) -> None:
    """Fitted and used on the whole database or on the rows before the examples: the same answers."""
    model = fitted(shop, TaskType.BINARY, replace(SMALL, n_estimators=15))
    test = shop.examples(TaskType.BINARY, TEST, 200)
    cut = replace(test, database=shop.database.upto(at(240)))
    np.testing.assert_array_equal(model.predict(test), model.predict(cut))


def test_many_columns_are_cut_down(shop: Shop) -> None:
    model = fitted(shop, TaskType.BINARY, replace(SMALL, max_features=5))
    names = model.contributions(shop.examples(TaskType.BINARY, TEST, 200)).names
    assert 0 < len(names) <= 5
    assert any("order" in name for name in names)


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


@pytest.mark.parametrize("choice", VIEWS)
def test_every_choice_of_views_answers(shop: Shop, choice: str) -> None:
    train, valid = stale_world(shop)
    model = replace(SMALL, n_estimators=20, staleness=choice).fit(train, valid, BUDGET)
    assert isinstance(model, FittedTrees)
    assert model.views.views == VIEWS[choice]
    assert set(model.ensembles) == set(VIEWS[choice])
    assert quality(valid, model.predict(valid)) > -2.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"library": "catboost"}, "not 'catboost'"),
        ({"error": "cubic"}, "error='cubic'"),
        ({"staleness": "old"}, "staleness='old'"),
        ({"quantiles": [1.5]}, "between 0 and 1"),
        ({"ensemble_size": 0}, "at least 1 booster"),
        ({"num_leaves": 1}, "num_leaves"),
    ],
)
def test_bad_settings_are_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(SMALL, **change)  # type: ignore[arg-type]


def test_features_are_told_of_the_budget_s_memory(shop: Shop) -> None:
    told = []

    class Listening(EntityColumns):
        def within(self, memory_mb: int) -> Block:
            told.append(memory_mb)
            return self

    fitted(shop, TaskType.BINARY, replace(SMALL, features=(Listening(),)), replace(BUDGET, memory_mb=4000))
    assert told == [4000]
