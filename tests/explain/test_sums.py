"""Contributions and gradients: they add up, name where they come from, and see the cause."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from relbench_harness.baselines.gnn.batch import Batch
from relbench_harness.baselines.gnn.method import FittedGNN
from relbench_harness.baselines.trees.booster import Library
from relbench_harness.baselines.trees.fitted import FittedTrees
from shop import Shop

from relbench_harness.data.task import TaskType
from relbench_harness.explain.attribution import UNKNOWN, Shares, part_of
from relbench_harness.explain.contributions import FeatureContributions
from relbench_harness.explain.explainer import explain
from relbench_harness.explain.explanation import Kind
from relbench_harness.features.origin import LABELS, TIME, Origin
from relbench_harness.temporal.paths import ForeignKey
from relbench_harness.temporal.routes import HERE, Leg

from .conftest import trees


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
@pytest.mark.parametrize("kind", [TaskType.BINARY, TaskType.REGRESSION])
def test_contributions_of_parts_add_up_to_the_margin(latest_shop: Shop, library: Library, kind: TaskType) -> None:
    fitted = trees(latest_shop, kind, library, days=3)
    examples = latest_shop.examples(kind, (180,))
    margins = fitted.margins(examples).max(axis=1)
    kinds: tuple[Kind, ...] = ("table", "path", "column", "hop")
    for one in FeatureContributions(kinds).explain(fitted, examples, "rows"):
        other = sum(a.value for a in one.of("other"))
        for each in kinds:
            total = one.base + other + sum(a.value for a in one.of(each))
            assert total == pytest.approx(margins[one.example or 0], abs=1e-6 * max(1, np.abs(margins).max()))


def test_features_say_where_they_come_from(latest_shop: Shop, boosted: FittedTrees) -> None:
    given = boosted.contributions(latest_shop.examples(TaskType.BINARY, (180,)))
    assert all(given.origins)
    names = dict(zip(given.names, given.origins, strict=True))
    schema = latest_shop.database
    for origins in names.values():
        for origin in origins:
            assert origin.table is None or origin.column is None or origin.column in schema[origin.table].rows.column_names
            tables = ["customer", *(leg.target for leg in origin.route.legs)]
            assert origin.table is None or tables[-1] == origin.table
    worth = [name for name, origins in names.items() if any(o.column == "worth" for o in origins)]
    assert worth and all("worth" in name for name in worth)
    (model,) = explain(boosted, latest_shop.examples(TaskType.BINARY, (180,)), by="contributions")
    assert model.of("column")[0].part.label == "order.worth" and model.of("table")[0].part.table == "order"
    assert model.of("path")[0].part.path == "order[customer]"


def test_a_feature_of_two_origins_is_shared() -> None:
    key = ForeignKey("order", "customer", "customer")
    down = HERE.then(Leg(key, up=False))
    origins = [(Origin("order", "worth", down), Origin("order", "gift", down)), (), (Origin(None, TIME),)]
    shares = Shares.of(origins, "column")
    assert shares.weights.sum(axis=1).tolist() == [1, 1, 1] and shares.weights[0, :2].tolist() == [0.5, 0.5]
    assert [part.name for part in shares.parts[2:]] == [UNKNOWN, TIME]
    assert part_of(Origin(None, LABELS), "table").kind == "other"
    assert Shares.of(origins, "table").weights[0].tolist() == [1, 0, 0]


def test_gradients_see_the_cause(latest_shop: Shop, network: FittedGNN) -> None:
    examples = latest_shop.examples(TaskType.BINARY, (180,)).take(np.arange(0, 57, 3))
    found = explain(network, examples, "rows", by="gradients")
    probability = 1 / (1 + np.exp(-np.asarray([one.prediction for one in found])))
    np.testing.assert_allclose(probability, network.predict(examples), atol=1e-5)
    for one in found:
        for amount in one.of("row"):
            part = amount.part
            times = examples.database[part.table or ""].times
            assert times is None or times[part.row] < examples.cutoff[one.example or 0]
            assert part.hop == (0 if not part.path else part.path.count("/") + 1)
    (model,) = explain(network, examples, by="gradients")
    assert model.of("table")[0].part.table == "order" and model.of("column")[0].part.label == "order.worth"
    assert {amount.part.hop for amount in model.of("hop")} >= {0, 1, 2}
    assert all(amount.value >= 0 for amount in model.amounts)


def test_gradient_times_input_is_the_derivative_of_a_scaled_input(latest_shop: Shop, network: FittedGNN) -> None:
    """What the time of an example adds: the slope of the margin as the statistic is scaled, by a small step."""
    examples = latest_shop.examples(TaskType.BINARY, (180,)).take(np.asarray([7]))
    evaluator = network.evaluator
    builder = evaluator.preprocessor.bind(examples)
    batch = builder.batch(examples)
    (given,) = network.input_amounts(examples)
    step = 1e-3
    margins = [float(evaluator.network(_scaled(batch, 1 + sign * step)).detach().double().max()) for sign in (1, -1)]
    slope = (margins[0] - margins[1]) / (2 * step)
    assert sum(value for _, value in given.summary) == pytest.approx(slope, rel=0.02, abs=2e-3)


def _scaled(batch: Batch, factor: float) -> Batch:
    return replace(batch, summary=batch.summary * factor)
