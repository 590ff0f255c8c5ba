"""Networks learn from the residuals of a row's numbers against its parents'."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_examples import DAY, every_pair, made_examples, made_task
from priced_goods import AT, RISE, USER, USERS, world
from relbench_harness.baselines.gnn.layers import SCALE_STEP, ScalingLayer
from relbench_harness.baselines.gnn.mechanisms import Mechanism
from relbench_harness.baselines.gnn.method import RelationalGNN
from sklearn.metrics import roc_auc_score

from relbench_harness.data.task import TaskType
from relbench_harness.features.history_summary import LAST, HistorySummary
from relbench_harness.protocol.method import Budget, Examples
from relbench_harness.temporal.history import History
from relbench_harness.temporal.trailing_mean import PRIOR, trailing_mean


def examples_on(days: range) -> Examples:
    """Will the user come again? Those who paid more than the list price in the last 30 days will not."""
    user, time = every_pair(USERS, days)

    def dear(u: int, t: int) -> bool:
        lately = (u == USER) & (t > AT) & (t - 30 * DAY <= AT)
        return bool(lately.any() and RISE[lately].mean() > 0)

    labels = np.array([float(dear(u, t)) for u, t in zip(user, time, strict=True)])
    return made_examples(made_task("users", TaskType.BINARY), world(), (user, time), labels)


def test_a_mean_residual_is_learned_which_prices_alone_do_not_tell() -> None:
    train, valid, later = (examples_on(d) for d in (range(30, 150, 4), range(155, 171, 5), range(175, 200, 5)))
    method = RelationalGNN(channels=32, num_neighbors=(16, 2), epochs=8, steps_per_epoch=40, batch_size=128, lr=0.005)

    def learned(without: list[Mechanism]) -> float:
        fitted = replace(method, without=without).fit(train, valid, Budget(threads=1, device="cpu"))
        return float(roc_auc_score(later.values, fitted.predict(replace(later, labels=None))))

    assert learned([]) > max(0.95, learned(["parent_residuals"]) + 0.1)


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(-5, 5) | st.just(np.nan))), st.integers(0, 40), st.integers(0, 8))
def test_the_trailing_mean_is_that_of_what_came_shortly_before(
    rows: list[tuple[int, float]], window: int, many: int
) -> None:
    times = np.sort(np.array([time for time, _ in rows], np.int64))
    values = np.array([value for _, value in rows], np.float64)
    for row, mean in enumerate(trailing_mean(values, times, window, many)):
        known = np.flatnonzero((times < times[row]) & ~np.isnan(values))
        lately = known[(times[known] >= times[row] - window) | (np.arange(len(known))[::-1] < many)]
        np.testing.assert_allclose(mean, values[lately].sum() / (len(lately) + PRIOR), atol=1e-9)


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
