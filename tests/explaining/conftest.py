"""A little shop with hostile names, imported from SQLite, a quick method fitted to it and explained once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from little_shop import CHURN, write_sqlite

from relbench_harness.authoring.wanted import Wanted
from relbench_harness.explaining.fitted import Fitted, fitted_by
from relbench_harness.explaining.found_out import found_out
from relbench_harness.explaining.material import Material
from relbench_harness.trial.source import dataset_of
from relbench_harness.trial.task import task_of

SETTINGS = ("method=lightgbm_simple", "method.n_estimators=15", "budget.threads=1", "regime=rolling")


@pytest.fixture(scope="module")
def shop_task(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a task about churn, while its dataset can be found."""
    home: Path = tmp_path_factory.mktemp("explained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELBENCH_HARNESS_DATASETS", str(home / "datasets"))
        uri = write_sqlite(home / "little shop.sqlite")
        found = dataset_of(uri, home / "datasets", Wanted(take_all=True), None, lambda table, count: None)
        yield task_of(found.address, CHURN, None, 3).address


@pytest.fixture(scope="module")
def fitted_shop(shop_task: str) -> Fitted:
    return fitted_by([f"task={shop_task}", *SETTINGS])


@pytest.fixture(scope="module")
def material(fitted_shop: Fitted) -> Material:
    return found_out(fitted_shop, None)
