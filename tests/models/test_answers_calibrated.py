"""With `answers=calibrated` a run says how sure its answers are, a kept model does so too, and scores stay as they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from models.test_kept import served
from shop_folder import write_shop

from relbench_harness.board.audits import AROUND as UNAUDITED
from relbench_harness.compose import Composed, composed
from relbench_harness.data.dataset import Dataset
from relbench_harness.errors import InputError
from relbench_harness.notebook import run
from relbench_harness.presets import AROUND
from relbench_harness.protocol.intervals import NOTE, noted_intervals
from relbench_harness.request import RunRequest


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_shop(tmp_path_factory.mktemp("sure") / "shop")


def requested(*settings: str) -> RunRequest:
    (one,) = composed([*settings, "isolation=none", "regime=rolling"])
    assert isinstance(one, Composed), one
    return one.request()[0]


def test_a_regression_gets_quantiles_beside_its_predictions(shop: Dataset, tmp_path: Path) -> None:
    settings = (f"task={shop.folder}/spend", "method=label_history", f"results_dir={tmp_path / 'results'}")
    plain = requested(*settings).execute()
    sure = requested(
        *settings, "answers=calibrated", "answers.quantiles=[0.2,0.5,0.8]", f"save={tmp_path / 'model'}"
    ).execute()
    assert "answers" not in plain.result.config and sure.result.config["answers"]["quantiles"] == [0.2, 0.5, 0.8]
    assert sure.result.scores == plain.result.scores and sure.result.identity != plain.result.identity
    assert plain.predictions is not None and sure.predictions is not None and sure.predictions.equals(plain.predictions)
    test = sure.result.notes[NOTE]["test"]
    assert test["intended"] == 0.6 and 0.3 < test["coverage"] <= 1 and test["width"] > 0
    answered = sure.predictions.to_pandas()
    answered = answered[answered["split"] == "test"].reset_index(drop=True)
    found, intervals = served(tmp_path / "model", answered), noted_intervals(sure.result.notes)
    assert intervals is not None and list(found.columns[-4:]) == ["prediction", "q20", "q50", "q80"]
    expected = intervals.around(answered["prediction"].to_numpy())
    np.testing.assert_allclose(found[["q20", "q50", "q80"]].to_numpy(), expected, atol=1e-6)


def test_probabilities_are_those_of_the_run_when_kept_and_auroc_stays(shop: Dataset, tmp_path: Path) -> None:
    address = f"{shop.folder}/churn"
    plain, sure = (run(address, "label_history", regime="rolling", answers=answers) for answers in (None, "calibrated"))
    assert sure.notes["calibration"]["chosen"] in ("as they are", "platt", "isotonic")
    assert sure.scores["test"]["roc_auc"] == pytest.approx(plain.scores["test"]["roc_auc"], abs=1e-12)
    sure.save(tmp_path / "model")
    assert sure.predictions is not None
    answered = sure.predictions[sure.predictions["split"] == "test"].reset_index(drop=True)
    np.testing.assert_allclose(served(tmp_path / "model", answered)["prediction"], answered["prediction"], atol=1e-6)


def test_a_kept_model_holds_its_objective(shop: Dataset, tmp_path: Path) -> None:
    settings = (f"task={shop.folder}/spend", "method=label_history", "objective=rmse", f"save={tmp_path / 'model'}")
    result, predictions = requested(*settings, f"results_dir={tmp_path / 'results'}").execute()
    assert result.ok and result.notes["objective"] == {"metric": "rmse"} and result.metric == "nmae"
    assert predictions is not None
    answered = predictions.to_pandas()
    answered = answered[answered["split"] == "test"].reset_index(drop=True)
    np.testing.assert_allclose(served(tmp_path / "model", answered)["prediction"], answered["prediction"], atol=1e-6)


def test_wrong_choices_are_refused_and_audits_see_the_method_alone(shop: Dataset) -> None:
    with pytest.raises(InputError, match="no answers 'calibrate'; did you mean 'calibrated'"):
        run(f"{shop.folder}/spend", "constant", answers="calibrate")
    with pytest.raises(InputError, match=r"answers cannot be made: .*between 0 and 1"):
        requested(f"task={shop.folder}/spend", "answers=calibrated", "answers.quantiles=[10,90]")
    assert set(UNAUDITED) == set(AROUND)
