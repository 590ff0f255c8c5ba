"""On rel-f1 and retail-uk: splits, labels and scores are those of the `relbench` package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import relbench

from relbench_harness.data.dataset import open_task
from relbench_harness.data.labels import SPLITS
from relbench_harness.protocol.stages import Stages

F1 = [
    "driver-circuit-compete",
    "driver-dnf",
    "driver-position",
    "driver-top3",
    "qualifying-position",
    "results-position",
]
RETAIL = ["customer-churn", "customer-product", "customer-spend", "product-sales"]
ALL = [f"rel-f1/{name}" for name in F1] + [pytest.param(f"retail-uk/{name}", marks=pytest.mark.slow) for name in RETAIL]


def their_task(folder: Path, address: str, regenerate: bool = False) -> Any:
    dataset, _, name = address.partition("/")
    return relbench.load_dataset(folder / dataset).load_task(name, regenerate=regenerate)


@pytest.mark.parametrize("regenerate", [False, True], ids=["hosted", "regenerated"])
@pytest.mark.parametrize("address", ALL)
def test_labels_of_every_split(real_data: Path, address: str, regenerate: bool) -> None:
    theirs = their_task(real_data, address, regenerate)
    dataset, task = open_task(address)
    whole = theirs.get_db(upto_test_timestamp=False)
    for split in SPLITS:
        expected = theirs.get_table(split, mask_input_cols=False, db=whole if regenerate else None).df
        labels = dataset.labels(task, split, regenerate)
        assert len(labels) == len(expected)
        assert labels.entity.tolist() == expected[task.entity_col].tolist()
        assert labels.time.tolist() == pd.DatetimeIndex(expected[task.time_col]).as_unit("ns").asi8.tolist()
        wanted = [list(v) if isinstance(v, np.ndarray | list) else v for v in expected[task.target]]
        if task.item_table is None and not regenerate:
            assert labels.target.to_pylist() == wanted
        elif task.item_table is None:
            # DuckDB adds up in whatever order its threads come
            assert labels.target.to_pylist() == pytest.approx(wanted, rel=1e-12)
        else:
            assert labels.target.to_pylist() == wanted


@pytest.mark.parametrize("address", ["rel-f1/driver-position", "rel-f1/driver-top3", "rel-f1/results-position"])
@pytest.mark.parametrize("kind", ["random", "constant", "integers"])
def test_score_of_numbers(real_data: Path, address: str, kind: str) -> None:
    theirs, holdout = their_task(real_data, address), Stages(*open_task(address), "frozen").holdout("test")
    generator = np.random.default_rng(3)
    predictions = {
        "random": generator.normal(10, 8, len(holdout.examples)),
        "constant": np.full(len(holdout.examples), 0.3),
        "integers": generator.integers(0, 3, len(holdout.examples)),
    }[kind]
    for name, value in theirs.evaluate(predictions).items():
        assert holdout.score(predictions)[name] == pytest.approx(value, rel=0, abs=1e-12)


@pytest.mark.parametrize("address", ["rel-f1/driver-circuit-compete", "retail-uk/customer-product"])
def test_score_of_recommendations(real_data: Path, address: str) -> None:
    theirs, stages = their_task(real_data, address), Stages(*open_task(address), "rolling")
    holdout, generator = stages.holdout("test"), np.random.default_rng(3)
    items = len(holdout.examples.database[str(stages.task.item_table)])
    shape = (len(holdout.examples), stages.task.eval_k or 1)
    for predictions in (
        generator.integers(0, min(items, 40), shape),
        np.full(shape, -1),
        np.tile(np.arange(shape[1]), (shape[0], 1)),
    ):
        expected = theirs.evaluate(predictions)["map"]
        assert holdout.score(predictions)["map"] == pytest.approx(expected, rel=0, abs=1e-12)


@pytest.mark.parametrize("address", ["rel-f1/driver-dnf", "rel-f1/qualifying-position", "rel-f1/driver-circuit-compete"])
def test_a_database_cut_holds_what_relbench_holds_less_the_boundary(real_data: Path, address: str) -> None:
    dataset, task = open_task(address)
    theirs = their_task(real_data, address).get_db()
    ours = task.visible_columns(dataset.database).upto(dataset.cuts.test)
    for name, table in theirs.table_dict.items():
        frame = table.df if table.time_col is None else table.df[table.df[table.time_col] < dataset.cuts.test]
        assert len(frame) == len(ours[name])
        assert set(ours[name].rows.column_names) == set(frame.columns)


@pytest.mark.slow
def test_labels_are_the_same_to_the_last_digit_each_time(real_data: Path) -> None:
    dataset, task = open_task("retail-uk/customer-spend")
    first, *others = (dataset.labels(task, "train", regenerate=True) for _ in range(4))
    assert all(other.target.equals(first.target) for other in others)
