"""Fixtures for every test: where real data lies, a cache of its own, and the synthetic shop on disk."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings
from shop_folder import write_shop

from relbench_harness.data.dataset import Dataset
from relbench_harness.protocol.kernels import marker

# the first example of a property may compile a kernel
settings.register_profile("kernels", deadline=None)
settings.load_profile("kernels")

# a shell that starts tests in the background may have them ignore these signals, and so would the commands that they start
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)

REAL_DATA = "RELBENCH_HARNESS_DATASETS"


def _real_data() -> Path | None:
    named = [Path(p) for p in os.environ.get(REAL_DATA, "").split(os.pathsep) if p]
    for folder in (*named, Path(__file__).resolve().parents[1].parent / "shared" / "data"):
        if (folder / "rel-f1" / "manifest.yaml").is_file():
            return folder
    return None


def pytest_configure() -> None:
    """Real data are on the search path before any test: one that sets the variable for itself restores it to this."""
    folder = _real_data()
    if folder is not None and str(folder) not in os.environ.get(REAL_DATA, "").split(os.pathsep):
        os.environ[REAL_DATA] = os.pathsep.join(filter(None, [str(folder), os.environ.get(REAL_DATA)]))


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Built artefacts of tests never meet those of the user."""
    os.environ["RELBENCH_HARNESS_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    # sealed runs of tests compile what they call
    marker().parent.mkdir()
    marker().touch()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder that holds rel-f1 and retail-uk, on the search path of datasets; skips where there is none."""
    folder = _real_data()
    if folder is None:
        pytest.skip(f"no rel-f1 beside the checkout (../shared/data) nor in {REAL_DATA}")
    return folder


@pytest.fixture(scope="session")
def shop_dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The shop as a dataset, for tests that do not change its folder."""
    return write_shop(tmp_path_factory.mktemp("dataset") / "shop")
