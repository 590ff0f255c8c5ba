"""`relbench-harness backtest`: files, agreement with a run, and one sentence for what cannot be."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from relbench_harness.board.store import read_results
from relbench_harness.cli import main

TASK = "task=little-shop/churn"


@pytest.fixture(scope="module")
def done(little_shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder of a backtest and of a run at its last origin."""
    folder = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELBENCH_HARNESS_DATASETS", str(little_shop))
        settings = ["method=label_history", f"results_dir={folder}"]
        assert main(["backtest", TASK, *settings, "origins=3", "refresh=never,every,warm"]) == 0
        moved = [TASK.replace("shop/", "shop@backtest=1/"), *settings, "fit_on=train+val", "isolation=none"]
        assert main(["run", *moved]) == 0
    return folder


def test_the_last_origin_fitted_anew_is_a_run_there(done: Path) -> None:
    (result,) = read_results(done)
    (home,) = done.glob("backtests/little-shop__churn/label_history/*")
    found = json.loads((home / "backtest.json").read_text())
    (line,) = [one for one in found["lines"] if one["policy"] == "every" and one["origin"] == 3]
    assert line["at"] == "2024-08-01 00:00:00"
    assert line["score"] == pytest.approx(result.scores["test"]["roc_auc"], abs=1e-12)
    assert found["fit_on"] == "train+val" and found["config"] == result.config


def test_every_file_holds_every_policy_and_origin(done: Path) -> None:
    (home,) = done.glob("backtests/*/*/*")
    assert home.name == "frozen-seed0-3xspan-val"
    rows = list(csv.DictReader((home / "backtest.csv").open()))
    assert [(row["origin"], row["policy"]) for row in rows] == [
        (str(k), policy) for k in (1, 2, 3) for policy in ("never", "every", "warm")
    ]
    page = (home / "backtest.md").read_text()
    assert "every − never" in page and "every against never" in page and "mean of labels" in page
    assert "2024-05-31" in page and (home / "backtest.svg").read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["origins=1"], "origins is 1; it is a whole number from 2 to 100"),
        (["origins=six"], "origins is 'six'; it is a whole number from 2"),
        (["refresh=never,evry"], "no refresh 'evry'; did you mean 'every'"),
        (["step=spann"], "no step 'spann'"),
        (["last=validation"], "no last 'validation'"),
        (["-m"], "-m belongs to run"),
        (["isolation=sealed"], "backtest takes no isolation"),
        (["limits.memory_mb=3"], "backtest takes no limits.memory_mb"),
        (["method=constnt"], "no method 'constnt'"),
        (["origin=6"], "no key 'origin'"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    shop_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    given = [TASK, "method=constant", f"results_dir={tmp_path / 'results'}", *words]
    assert main(["backtest", *given]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1
    assert not (tmp_path / "results").exists()
