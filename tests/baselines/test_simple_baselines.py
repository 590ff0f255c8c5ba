"""`constant` and `label_history` on rel-f1: published cells, and that the past used is a past."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from relbench_harness.baselines.constant import Constant
from relbench_harness.baselines.label_history import LabelHistory

from relbench_harness.data.dataset import open_task
from relbench_harness.data.labels import sql_labels
from relbench_harness.errors import InputError
from relbench_harness.protocol.method import Budget, Method, Refittable, Regime
from relbench_harness.protocol.stages import Stages
from relbench_harness.temporal.closed_labels import closed_labels


def both_scores(stages: Stages, method: Method, metric: str) -> tuple[float, float]:
    """The test score of `method` fitted on train, and fitted again on train + val."""
    fitted = method.fit(stages.examples("train"), stages.examples("val"), Budget())
    assert isinstance(fitted, Refittable)
    alone, both = stages.holdout("test"), stages.final_training()
    again = stages.holdout("test", both.fit_end)
    return (
        alone.score(fitted.predict(alone.examples))[metric],
        again.score(fitted.refit(both).predict(again.examples))[metric],
    )


@pytest.mark.parametrize("regime", ["frozen", "rolling"])
def test_global_median_is_the_published_cell_when_fitted_on_train_and_val(real_data: Path, regime: Regime) -> None:
    alone, both = both_scores(Stages(*open_task("rel-f1/driver-position"), regime), Constant(), "nmae")
    assert both == pytest.approx(0.6261, abs=5e-4)
    assert abs(alone - both) > 5e-3


def test_global_mean_and_popularity_are_the_published_cells(real_data: Path) -> None:
    mean = both_scores(Stages(*open_task("rel-f1/driver-position"), "frozen"), Constant("mean"), "nmae")
    assert mean[1] == pytest.approx(0.6423, abs=5e-4)
    popular = both_scores(Stages(*open_task("rel-f1/driver-circuit-compete"), "frozen"), Constant(), "map")
    assert popular[1] == pytest.approx(0.5012, abs=5e-4)


def test_kinds_of_constant(real_data: Path) -> None:
    stages = Stages(*open_task("rel-f1/driver-dnf"), "frozen")
    train, valid = stages.examples("train"), stages.examples("val")
    rate = Constant().fit(train, valid, Budget()).predict(valid)
    assert np.unique(rate) == pytest.approx([train.values.mean()])
    sure = Constant("majority").fit(train, valid, Budget()).predict(valid)
    assert set(sure) == {float(train.values.mean() > 0.5)}
    with pytest.raises(InputError, match="no kind 'modal'"):
        Constant("modal").fit(train, valid, Budget())  # type: ignore[arg-type]


def test_history_beats_the_constant_and_rolling_beats_frozen(real_data: Path) -> None:
    scores = {
        regime: both_scores(Stages(*open_task("rel-f1/driver-position"), regime), LabelHistory(), "nmae")[0]
        for regime in ("frozen", "rolling")
    }
    assert scores["rolling"] < 0.42
    assert scores["frozen"] < 0.6


def test_closed_labels_are_the_sql_on_older_rows(real_data: Path) -> None:
    stages = Stages(*open_task("rel-f1/driver-top3"), "rolling")
    questions = stages.holdout("test").examples
    past = closed_labels(questions, windows=5)
    horizon = questions.task.horizon.value
    assert (np.diff(past.entity) >= 0).all()
    for known_from in np.unique(past.known_from)[::9]:
        start = known_from - horizon
        older = questions.database.upto(int(known_from))
        expected = sql_labels(questions.task, older, pd.DatetimeIndex([pd.Timestamp(start)]))
        rows = past.known_from == known_from
        assert past.entity[rows].tolist() == expected.entity.tolist()
        assert np.asarray(past.value)[rows].tolist() == expected.target.to_pylist()


def test_only_closed_windows_are_known(real_data: Path) -> None:
    questions = Stages(*open_task("rel-f1/driver-top3"), "rolling").holdout("val").examples
    past = closed_labels(questions, windows=5)
    span = past.known(questions, most=3)
    assert (span.last - span.first).max() == 3
    for i in range(0, len(questions), 41):
        rows = np.arange(span.first[i], span.last[i])
        mine = np.flatnonzero((past.entity == questions.entity[i]) & (past.known_from <= questions.cutoff[i]))
        assert rows.tolist() == mine[-3:].tolist()
