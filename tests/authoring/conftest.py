"""Servers and data that tests of importing share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import servers


@pytest.fixture(scope="session")
def postgresql_uri() -> Iterator[str]:
    with servers.postgresql() as uri:
        yield uri


@pytest.fixture(scope="session")
def mariadb_uri() -> Iterator[str]:
    with servers.mariadb() as uri:
        yield uri


@pytest.fixture(scope="session")
def retail() -> Path:
    """The folder of the dataset retail-uk."""
    shared = Path(os.environ.get("RELBENCH_HARNESS_DATASETS") or Path(__file__).parents[3] / "shared" / "data")
    if not (shared / "retail-uk" / "manifest.yaml").is_file():
        pytest.skip(f"no dataset retail-uk in {shared}")
    return shared / "retail-uk"
