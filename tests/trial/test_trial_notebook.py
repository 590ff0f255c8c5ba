"""The same in a notebook: a trial, comparisons of trials and of runs, charts."""

from __future__ import annotations

from pathlib import Path

import pytest
from little_shop import CHURN, EVIL

import relbench_harness as rh
from relbench_harness.errors import InputError
from relbench_harness.trial.carried import Carried
from relbench_harness.trial.notebook import Tried

BUDGET = {"seconds": 20}


@pytest.fixture
def there(tried: Carried, monkeypatch: pytest.MonkeyPatch) -> Tried:
    monkeypatch.setenv("RELBENCH_HARNESS_DATASETS", str(tried.trial.folder.parent / "datasets"))
    return Tried(tried.trial, tried.report.verdict.headline, tried.path)


def test_a_trial_shows_its_leaderboard(there: Tried, sqlite_uri: str, tmp_path: Path) -> None:
    made = rh.try_database(sqlite_uri, CHURN, minutes=0.2, to=tmp_path / "r", methods=["constant"])
    assert made.report == tmp_path / "r" / "report.html" and made.report.is_file()
    assert [one.method for one in made.results] == ["constant"]
    text = there._repr_html_()
    assert "<table>" in text and "lightgbm_simple" in text and "sql_xgboost" in text
    assert list(there.leaderboard["method"])[-1] == "constant" and "difference_low" in there.leaderboard
    assert "<img" not in Tried(there.trial, EVIL, there.report)._repr_html_()


def test_methods_of_a_trial_are_compared(there: Tried) -> None:
    found = rh.compare(there, "label_history", "constant")
    scores = {one.method: one.score for one in there.results}
    assert found.difference.difference == pytest.approx(scores["label_history"] - scores["constant"])
    assert found.difference.low <= found.difference.difference <= found.difference.high
    assert "against" in repr(found) and "<b>constant</b>" in found._repr_html_()
    loss = rh.compare(there, "label_history", "constant", metric="log_loss")
    assert ("worse" in loss.said) == (loss.difference.difference > 0 and loss.difference.shown)
    with pytest.raises(InputError, match="no predictions of a method 'constnt'; did you mean 'constant'"):
        rh.compare(there, "constnt", "label_history")


def test_runs_are_compared_over_their_seeds(there: Tried) -> None:
    task = there.trial.chosen.address
    runs = [
        rh.run(task, name, seed=seed, regime="rolling", budget=BUDGET)
        for name in ("constant", "label_history")
        for seed in (0, 1)
    ]
    found = rh.compare(runs, "constant", "label_history")
    of_trial = rh.compare(there, "constant", "label_history")
    assert found.difference.difference == pytest.approx(of_trial.difference.difference)
    other = rh.run(task, "constant", seed=0, regime="frozen", budget=BUDGET)
    with pytest.raises(InputError, match="have one regime, but these have 'rolling' and 'frozen'"):
        rh.compare([*runs, other], "constant", "label_history")
    with pytest.raises(InputError, match="no run with predictions"):
        rh.compare([], "a", "b")
    assert "<svg" in rh.plot.lift(runs).svg


def test_charts_are_those_of_the_report(there: Tried) -> None:
    report = there.report.read_text(encoding="utf-8")
    for chart in (rh.plot.lift(there), rh.plot.calibration(there), rh.plot.gain(there)):
        assert chart.svg.startswith("<svg") and "<div" in chart._repr_html_()
    assert rh.plot.lift(there).svg in report
    with pytest.raises(InputError, match="this chart is for a regression"):
        rh.plot.observed(there)
    with pytest.raises(InputError, match="none of these runs holds a learning curve"):
        rh.plot.learning_curves(there)
