"""What breaks a network is handled or on record: bare tables, rows that nobody refers to, values never seen, failures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from shop_folder import write_bare_shop, write_shop

from relbench_harness.compose import make_method
from relbench_harness.data.dataset import Dataset
from relbench_harness.protocol.method import Budget, Examples, Method, Predictor
from relbench_harness.protocol.run import Run
from relbench_harness.protocol.stages import Stages

BUDGET = Budget(threads=1, device="cpu")


@pytest.mark.parametrize("name", ["gnn", "relational_transformer"])
@pytest.mark.parametrize("task", ["churn", "channel", "basket"])
def test_bare_tables_lonely_rows_and_unseen_values_get_predictions(tmp_path: Path, name: str, task: str) -> None:
    shop = write_bare_shop(tmp_path / "shop")
    method, _ = make_method(name, epochs=1, steps_per_epoch=2, channels=16)
    result, predictions = Run(Stages(shop, shop.task(task), "rolling"), method, name, BUDGET).execute()
    assert result.status == "ok", result.error
    assert predictions is not None
    assert np.isfinite(np.concatenate([np.ravel(p) for p in predictions["prediction"].to_pylist()])).all()


@dataclass(frozen=True)
class Broken:
    error: Exception

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Predictor:
        raise self.error


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_shop(tmp_path_factory.mktemp("odd") / "shop")


def outcome(shop: Dataset, method: Method) -> tuple[str, str]:
    result, _ = Run(Stages(shop, shop.task("churn"), "rolling"), method, "broken", BUDGET).execute()
    return result.status, str(result.error)


def test_a_gpu_without_memory_is_on_record(shop: Dataset) -> None:
    status, error = outcome(shop, Broken(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 TiB")))
    assert status == "out_of_memory" and "3 TiB" in error


def test_a_loss_that_is_no_number_is_on_record(shop: Dataset) -> None:
    method, _ = make_method("gnn", epochs=1, steps_per_epoch=2, channels=16, lr=float("inf"))
    status, error = outcome(shop, method)
    assert status == "error" and "DivergedError" in error
