"""A site made once, of ordinary and hostile results."""

from __future__ import annotations

from pathlib import Path

import pytest
from site_results import write_results

from relbench_harness.cli import main


@pytest.fixture(scope="session")
def results_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_results(tmp_path_factory.mktemp("results") / "house")


@pytest.fixture(scope="session")
def site(results_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "site"
    assert main(["publish", str(results_folder), "--to", str(folder)]) == 0
    return folder
