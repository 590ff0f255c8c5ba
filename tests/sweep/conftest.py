"""The shop on disk, as commands find it."""

from __future__ import annotations

from pathlib import Path

import pytest
from shop_folder import write_shop


@pytest.fixture(scope="session")
def shop_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("sweep-datasets")
    write_shop(home / "shop")
    return home


@pytest.fixture
def shop(shop_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on which `RELBENCH_HARNESS_DATASETS` points: dataset `shop` with its tasks."""
    monkeypatch.setenv("RELBENCH_HARNESS_DATASETS", str(shop_home))
    return shop_home
