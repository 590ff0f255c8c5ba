"""A row's numbers are read against its parents': what a price residual by from the list price, and no younger parent's."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_examples import DAY, every_pair, made_examples, made_task
from relbench_harness.baselines.gnn.layers import SCALE_STEP, ScalingLayer
from relbench_harness.baselines.gnn.mechanisms import Mechanism
from relbench_harness.baselines.gnn.method import RelationalGNN
from relbench_harness.baselines.gnn.preprocessor import Preprocessor, Sampling
from sklearn.metrics import roc_auc_score

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.data.task import TaskType
from relbench_harness.features.history_summary import LAST, HistorySummary
from relbench_harness.graph.attributes import Encoders
from relbench_harness.graph.encoders import Number
from relbench_harness.graph.parent_residuals import TRAILING_ROWS, Column, ParentResiduals, Regression
from relbench_harness.protocol.method import Budget, Examples
from relbench_harness.temporal.history import History
from relbench_harness.temporal.paths import ForeignKey
from relbench_harness.temporal.trailing_mean import PRIOR, trailing_mean

USERS, GOODS, BUYS = 150, 60, 4000
GOODS_KEY = ForeignKey("buys", "good", "goods")
RNG = np.random.default_rng(0)
LISTED = RNG.lognormal(2, 1.5, GOODS)
SINCE = np.sort(np.where(np.arange(GOODS) < 40, 0, RNG.integers(0, 200, GOODS))) * DAY
GOOD, USER = RNG.integers(0, GOODS, BUYS), RNG.integers(0, USERS, BUYS)
AT = np.sort(RNG.integers(1, 200 * DAY, BUYS))
RISE = RNG.normal(0.0, 0.1, BUYS)
PAID = np.where(RNG.random(BUYS) < 0.02, np.nan, LISTED[GOOD] * np.exp(RISE))


def world() -> Database:
    goods = {
        "good": np.arange(GOODS),
        "since": pa.array(SINCE).cast(pa.timestamp("ns")),
        "listed": LISTED,
        "weight": 1 / LISTED,
    }
    buys = {
        "at": pa.array(AT).cast(pa.timestamp("ns")),
        "user": USER,
        "good": GOOD,
        "paid": pa.array(PAID, from_pandas=True),
        "copied": LISTED[GOOD],
        "luck": RNG.normal(size=BUYS),
    }
    return Database(
        [
            Table("users", pa.table({"user": np.arange(USERS)}), key="user"),
            Table("goods", pa.table(goods), key="good", time="since"),
            Table("buys", pa.table(buys), time="at", references=MappingProxyType({"user": "users", "good": "goods"})),
        ]
    )


def residuals_of(database: Database) -> ParentResiduals:
    return ParentResiduals.fit(database, Encoders.fit(database, 200 * DAY).layouts)


def examples_of(days: range) -> Examples:
    """Will the user come again? Those who paid more than the list price in the last 30 days will not."""
    user, time = every_pair(USERS, days)

    def dear(u: int, t: int) -> bool:
        lately = (u == USER) & (t > AT) & (t - 30 * DAY <= AT)
        return bool(lately.any() and RISE[lately].mean() > 0)

    labels = np.array([float(dear(u, t)) for u, t in zip(user, time, strict=True)])
    return made_examples(made_task("users", TaskType.BINARY), world(), (user, time), labels)


def test_numbers_that_follow_from_a_parents_are_found_and_copies_and_others_are_not() -> None:
    # "copied" is the list price and in logarithms an exact line in the weight
    found = residuals_of(world()).lines
    assert {(key, line.own.name, line.parent.name) for key, some in found.items() for line in some} == {
        (GOODS_KEY, "paid", "listed"),
        (GOODS_KEY, "paid", "weight"),
    }
    (line, _) = found[GOODS_KEY]
    assert line.logarithmic
    assert abs(line.slope - 1) < 0.02
    assert abs(line.deviation - 0.1) < 0.01


def test_a_batch_holds_the_departure_from_the_older_parent_and_nothing_of_a_younger_one() -> None:
    examples = examples_of(range(60, 180, 30))
    fitted, builder = Preprocessor.fit(examples, examples, Sampling((16, 8), 2, "recent"), ())
    rows = builder.rows.read({"buys": np.arange(BUYS)})
    line = fitted.residuals.lines[GOODS_KEY][0]
    residual = ((np.log(PAID) - line.intercept - line.slope * np.log(LISTED[GOOD])) / line.deviation).clip(-10, 10)
    residual[SINCE[GOOD] > AT] = np.nan
    expected = np.nan_to_num(residual - trailing_mean(residual, AT, fitted.residuals.window, TRAILING_ROWS))
    assert (SINCE[GOOD] > AT).any()
    got = np.zeros(BUYS)
    got[rows.links["buys", "good"].child.numpy()] = rows.link_features["buys", "good"][:, 0].numpy()
    np.testing.assert_allclose(got, expected, atol=1e-3)
    whole = next(fitted.residuals.bind(examples.database).columns("buys"))
    np.testing.assert_allclose(np.nan_to_num(whole), got, atol=1e-3)


def test_a_mean_departure_is_learned_which_prices_alone_do_not_tell() -> None:
    train, valid, later = (examples_of(d) for d in (range(30, 150, 4), range(155, 171, 5), range(175, 200, 5)))
    method = RelationalGNN(channels=32, num_neighbors=(16, 2), epochs=8, steps_per_epoch=40, batch_size=128, lr=0.005)

    def learned(without: list[Mechanism]) -> float:
        fitted = replace(method, without=without).fit(train, valid, Budget(threads=1, device="cpu"))
        return float(roc_auc_score(later.values, fitted.predict(replace(later, labels=None))))

    assert learned([]) > max(0.95, learned(["parent_residuals"]) + 0.1)


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(-5, 5) | st.just(np.nan))), st.integers(0, 40), st.integers(0, 8))
def test_usual_is_the_mean_of_what_came_shortly_before(rows: list[tuple[int, float]], window: int, many: int) -> None:
    times = np.sort(np.array([time for time, _ in rows], np.int64))
    values = np.array([value for _, value in rows], np.float64)
    for row, mean in enumerate(trailing_mean(values, times, window, many)):
        known = np.flatnonzero((times < times[row]) & ~np.isnan(values))
        lately = known[(times[known] >= times[row] - window) | (np.arange(len(known))[::-1] < many)]
        np.testing.assert_allclose(mean, values[lately].sum() / (len(lately) + PRIOR), atol=1e-9)


def test_a_departure_says_nothing_of_how_late_it_is() -> None:
    rising = np.where(np.isnan(PAID), np.nan, PAID * np.exp(0.5 * AT / AT.max()))
    database = world()
    buys = database["buys"]
    rows = buys.rows.set_column(buys.rows.column_names.index("paid"), "paid", pa.array(rising, from_pandas=True))
    dearer = Database([*(t for name, t in database.items() if name != "buys"), replace(buys, rows=rows)])
    residual = next(residuals_of(dearer).bind(dearer).columns("buys"))
    late = np.quantile(AT, 0.8) <= AT
    there = ~np.isnan(residual)
    assert abs(residual[there & late].mean()) < 0.3 * residual[there].std()
    risen = np.corrcoef(residual[there & late], RISE[there & late])[0, 1]
    assert risen > 0.95


def test_missing_and_impossible_numbers_depart_by_nothing() -> None:
    line = Regression(Column("buys", "paid"), Column("goods", "listed"), True, 1.0, 0.0, 0.1)
    residual = line.residual(np.array([1.0, np.nan, 1.0, 0.0, 1e300]), np.array([1.0, 1.0, -1.0, 1.0, 1.0]))
    np.testing.assert_array_equal(residual, [0.0, np.nan, np.nan, np.nan, 10.0])


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=3, max_size=40, unique=True))
def test_decoding_gives_back_what_was_encoded_within_the_encoders_range(values: list[float]) -> None:
    column = pa.chunked_array([pa.array(values, pa.float64())])
    number = Number.fit("x", column)
    assert number is not None
    encoded = number.encode(column.combine_chunks())
    again = number.encode(pa.array(number.decode(encoded[:, 0])))
    np.testing.assert_allclose(again, encoded, atol=1e-3)
    inside = np.abs(encoded[:, 0]) < 10
    np.testing.assert_allclose(
        number.decode(encoded[:, 0])[inside], np.array(values)[inside], rtol=1e-3, atol=1e-3 * np.ptp(values)
    )


def test_columns_that_mean_nothing_as_a_sum_are_averaged_over_windows() -> None:
    rng = np.random.default_rng(0)
    parent, at = rng.integers(0, 5, 200), np.sort(rng.integers(0, 100 * DAY, 200))
    values = rng.normal(size=(200, 2))
    values[rng.random(200) < 0.2, 1] = np.nan
    history = History.of(parent, at, 5)
    summary = HistorySummary(history, history.totals(iter(values.T), 2), (10 * DAY,), averaged=1)
    who, when = np.arange(5), np.full(5, 90 * DAY)
    got = summary.read(who, when)[:, -2:]
    for p in who:
        inside = values[(parent == p) & (at < 90 * DAY) & (at >= 80 * DAY)]
        assert len(inside)
        np.testing.assert_allclose(got[p], np.arcsinh([inside[:, 0].sum(), np.nanmean(inside[:, 1])]))
    assert summary.width == 1 + (len(LAST) + 1) * 3


def test_a_scale_starts_at_one_and_moves_faster_than_a_weight() -> None:
    scales, weight = ScalingLayer(3), torch.nn.Parameter(torch.ones(3))
    x = torch.tensor([[1.0, -2.0, 3.0]])
    assert torch.equal(scales(x), x)
    optimiser = torch.optim.AdamW([*scales.parameters(), weight], lr=0.01, weight_decay=0.0)
    (scales(x) - x * weight).sum().backward()
    optimiser.step()
    moved = (scales.scale.detach() - 1).abs()
    torch.testing.assert_close(moved, SCALE_STEP * (weight.detach() - 1).abs())
