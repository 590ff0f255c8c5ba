"""A kept model predicts what its run predicted, wherever its folder lies, and gives nothing away of the rows it was fitted on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from omegaconf import OmegaConf
from shop_folder import TEST, shop_tables, write_shop
from small_methods import small

from relbench_harness.compose import build
from relbench_harness.data.dataset import Dataset, open_task
from relbench_harness.data.population import population
from relbench_harness.errors import InputError
from relbench_harness.models.keep import check_can_be_kept
from relbench_harness.models.model import load_model
from relbench_harness.presets import method_names
from relbench_harness.protocol.configuration import described_method
from relbench_harness.protocol.method import Method
from relbench_harness.protocol.stages import Stages
from relbench_harness.request import RunRequest
from relbench_harness.temporal import closed_labels

QUICK = [("basket", "constant"), ("channel", "constant")]
SLOW = [
    ("churn", "xgboost_dfs"), ("churn", "auto"), ("gift", "hybrid"), ("channels", "xgboost_tuned"), ("amount", "lightgbm_dfs"),
    ("channels", "relational_transformer"), ("channel", "gnn_gat"), ("basket", "gnn"), ("basket", "auto"), ("basket", "hybrid"),
    ("basket", "label_history"), ("churn", "xgboost_simple"), ("spend", "label_history"),
    ("basket", "xgboost_dfs"), ("basket", "lightgbm_simple"), ("channel", "label_history"), ("gift", "xgboost_simple"),
    ("amount", "xgboost"), ("spend", "lightgbm"),
]  # fmt: skip


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_shop(tmp_path_factory.mktemp("kept") / "shop")


@pytest.fixture(scope="module")
def trees(shop: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Guarded trees, fitted in a process of their own where that can be."""
    folder = tmp_path_factory.mktemp("trees") / "model"
    guard = {"_target_": "relbench_harness.baselines.guarded.Guard", "noise": 1e9}
    method = build(OmegaConf.create(guard), "guard")[0].around(small("lightgbm_simple"))
    isolation = "process" if sys.platform == "linux" else "none"
    return Kept(folder, kept(shop, "churn", method, folder, isolation=isolation))


@pytest.fixture(scope="module")
def network(shop: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    folder = tmp_path_factory.mktemp("network") / "model"
    return Kept(folder, kept(shop, "spend", replace(small("gnn"), epochs=1, steps_per_epoch=2), folder))  # type: ignore[type-var]


class Kept(NamedTuple):
    """A kept model, and the test predictions of its run."""

    folder: Path
    answered: pd.DataFrame


def kept(shop: Dataset, task: str, method: Method, folder: Path, **more: str) -> pd.DataFrame:
    """Runs `method` and keeps it in `folder`; returns the run's test predictions."""
    request = RunRequest(
        f"{shop.folder}/{task}", method, "tested", described_method(method), regime="rolling", save=folder, **more
    )
    result, predictions = request.execute()
    assert result.ok, result.error
    assert predictions is not None
    frame = predictions.to_pandas()
    return frame[frame["split"] == "test"].reset_index(drop=True)


def served(folder: Path, answered: pd.DataFrame, dataset: str | None = None) -> pd.DataFrame:
    """What the model kept in `folder` predicts for the entities and times of `answered`."""
    model = load_model(folder)
    serving = model.serving(dataset)
    who = serving.keys[0].take(pa.array(answered["entity"].to_numpy()))
    return model.predict(who.to_pandas().assign(**{model.task.time_col: answered["time"]}), dataset=dataset)


def assert_same(found: pd.DataFrame, answered: pd.DataFrame) -> None:
    """`found` are the predictions of `answered`, to 1e-6, and of a recommendation the same items in the same order."""
    if "rank" in found:
        named = [[item for item in items if item >= 0] for items in answered["prediction"]]
        assert found.iloc[:, -1].tolist() == [item for items in named for item in items]
        assert found["rank"].tolist() == [rank for items in named for rank in range(1, len(items) + 1)]
        return
    several = [column for column in found if str(column).startswith(("probability of", "prediction "))]
    values = found[several or ["prediction"]].to_numpy(np.float64)
    expected = np.asarray(answered["prediction"].to_list(), np.float64).reshape(len(answered), -1)
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-6)
    assert len(np.unique(expected)) > 1 or len(several)


@pytest.mark.parametrize(("task", "name"), [*QUICK, *(pytest.param(*one, marks=pytest.mark.thorough) for one in SLOW)])
def test_predicts_what_the_run_predicted(shop: Dataset, tmp_path: Path, task: str, name: str) -> None:
    answered = kept(shop, task, small(name), tmp_path / "model")
    assert_same(served(tmp_path / "model", answered), answered)


def test_a_network_predicts_what_its_run_predicted(network: Kept) -> None:
    assert_same(served(*network), network.answered)


def test_guarded_trees_in_a_moved_folder_and_a_fresh_process(trees: Kept, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    shutil.copytree(trees.folder, tmp_path / "there" / "moved")
    trees.answered.to_parquet(tmp_path / "who.parquet")
    code = (
        "import sys, pandas as pd; sys.path.insert(0, sys.argv[1]); from models.test_kept import *;"
        "answered = pd.read_parquet('who.parquet'); assert_same(served(Path('there/moved'), answered), answered)"
    )
    tests = str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": tests}
    command = [sys.executable, "-c", code, tests]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.thorough
def test_every_shipped_method_can_be_kept() -> None:
    for name in method_names():
        check_can_be_kept(small(name))


def test_rows_that_moved_keep_their_own_past(shop: Dataset, tmp_path: Path) -> None:
    answered = kept(shop, "churn", small("label_history"), tmp_path / "model")
    keys = ["customer id"]
    before = served(tmp_path / "model", answered)
    assert_same(before, answered)
    before = before.sort_values([*keys, "date"])
    content = shop_tables()
    content["customer"] = content["customer"].take(pa.array(np.arange(len(content["customer"]))[::-1]))
    other = write_shop(tmp_path / "moved", content)
    model = load_model(tmp_path / "model")
    found = model.predict(before[["customer id", "date"]], dataset=str(other.folder))
    assert found["customer id"].tolist() == before["customer id"].tolist()
    np.testing.assert_allclose(found["prediction"], before["prediction"], atol=1e-9)
    assert found["prediction"].nunique() > 2


def test_items_that_moved_are_refused(shop: Dataset, tmp_path: Path) -> None:
    kept(shop, "basket", small("constant"), tmp_path / "model")
    content = shop_tables()
    content["products"] = content["products"].take(pa.array(np.arange(len(content["products"]))[::-1]))
    other = write_shop(tmp_path / "moved", content)
    with pytest.raises(InputError, match="rows of table 'products'"):
        load_model(tmp_path / "model").predict(dataset=str(other.folder))


def test_whom_it_is_about_rests_on_no_later_row(shop: Dataset) -> None:
    for name in ("churn", "spend", "basket"):
        task = shop.task(name)
        whole = population(task, shop.database, TEST)
        cut = population(task, shop.database.upto(TEST), TEST)
        assert len(whole[0]) and all(np.array_equal(*pair) for pair in zip(whole, cut, strict=True))
        # what is bought next is known of nobody yet
        assert whole.is_stand_in == (name != "churn")


def test_a_model_holds_no_label_of_validation_or_test(shop: Dataset, network: Kept) -> None:
    stages = Stages(shop, shop.task("spend"), "rolling")
    serving = load_model(network.folder).serving()
    assert serving.seen.training is not None
    assert len(serving.seen.training.entity) == len(stages.labels("train"))
    held = serving.predictor.evaluator.preprocessor.train  # type: ignore[attr-defined]
    assert held.labels is None and len(held) == 0


def test_now_is_the_end_of_the_data_and_entities_are_chosen(shop: Dataset, trees: Kept) -> None:
    model = load_model(trees.folder)
    all_now = model.predict()
    latest = pd.Timestamp(shop.database.span[1])
    assert latest < all_now["date"].iloc[0] <= latest + pd.Timedelta(seconds=1)
    assert all_now["customer id"].is_unique and len(all_now) == len(shop.database["customer"])
    some = model.predict("now", 'SELECT "customer id" FROM customer WHERE "customer id" < 3')
    pd.testing.assert_frame_equal(some, all_now.head(3))
    one = model.predict(pd.DataFrame({"customer id": [1]}))
    np.testing.assert_allclose(one["prediction"], all_now["prediction"][1:2], atol=1e-12)
    for about, fault in ((pd.DataFrame({"customer id": [10_000]}), "names 10000"), ("someday", "neither a time")):
        with pytest.raises(InputError, match=fault):
            model.predict(about)


def test_chunks_change_nothing(trees: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(trees.folder)
    whole = model.predict()
    monkeypatch.setattr("relbench_harness.models.model.CHUNK", 17)
    pd.testing.assert_frame_equal(model.predict(), whole, check_exact=False, atol=1e-9)


def test_one_entity_after_another_is_predicted_as_all_together(trees: Kept) -> None:
    """What is remembered between calls is of the same rows alone."""
    model = load_model(trees.folder)
    keys = model.serving().keys[0].to_pandas()["customer id"]
    random = np.random.default_rng(0)
    for place in random.permutation(len(trees.answered))[:25]:
        row = trees.answered.iloc[place]
        one = model.predict(pd.DataFrame({"customer id": [keys[row["entity"]]], "date": [row["time"]]}))
        assert one["prediction"].item() == pytest.approx(row["prediction"], abs=1e-9)
    times = model.serving()._latest
    assert len(times) == 1 and trees.answered["time"].nunique() > 1


def test_labels_are_made_again_for_other_times_alone(shop: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, task = open_task(f"{shop.folder}/churn")
    examples = Stages(dataset, task, "rolling").holdout("test").examples
    runs: list[int] = []
    plan = closed_labels.window_plan
    monkeypatch.setattr(closed_labels, "window_plan", lambda *given: (runs.append(1), plan(*given))[1])
    late = np.flatnonzero(examples.cutoff == examples.cutoff.max())
    made = closed_labels.LabelsMade()
    with made.used():
        parts = [late[:9], late[9:17], np.arange(len(examples)), late[17:]]
        found = [closed_labels.closed_labels(examples.take(part), 24) for part in parts]
    assert len(runs) == 3 and len(np.unique(examples.cutoff)) > 1
    for part, labels in zip(parts, found, strict=True):
        alone = closed_labels.closed_labels(examples.take(part), 24)
        for name in ("entity", "known_from", "value"):
            np.testing.assert_array_equal(getattr(labels, name), getattr(alone, name))


class Homemade:
    """A method that no import path leads to from elsewhere."""

    def fit(self, *_: object) -> None:
        raise AssertionError("the run has begun")


def test_what_cannot_be_kept_is_refused_before_the_run(shop: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Homemade cannot be kept, so save= cannot be set: .*Homemade"):
        kept(shop, "churn", Homemade(), tmp_path / "model")  # type: ignore[arg-type]
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(InputError, match="is no kept model"):
        kept(shop, "churn", small("constant"), tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


def test_a_later_model_takes_the_place_of_an_earlier_one_whole(shop: Dataset, tmp_path: Path) -> None:
    kept(shop, "basket", small("constant"), tmp_path / "model")
    names = {path.name for path in (tmp_path / "model").iterdir()}
    kept(shop, "channel", replace(small("constant"), kind="majority"), tmp_path / "model")  # type: ignore[type-var]
    assert load_model(tmp_path / "model").task.name == "channel"
    assert names - {path.name for path in (tmp_path / "model").iterdir()}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
