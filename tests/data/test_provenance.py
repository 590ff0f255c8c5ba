"""Source and licence of datasets, as manifests say them."""

from __future__ import annotations

from pathlib import Path

import pytest

from relbench_harness.data.dataset import Dataset, open_dataset
from relbench_harness.data.names import PATH_VARIABLE
from relbench_harness.data.provenance import Provenance, provenance
from relbench_harness.home import home

SHIPPED = sorted(path.parent.name for path in home("datasets").glob("*/manifest.yaml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_dataset_names_source_and_licence(name: str) -> None:
    about = provenance(name)
    assert about.description and about.source and about.licence and about.tasks


def test_a_dataset_that_names_neither_is_one_all_the_same(shop_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PATH_VARIABLE, str(shop_dataset.folder.parent))
    about = provenance(shop_dataset.folder.name)
    assert (about.source, about.licence) == ("", "") and "churn" in about.tasks
    assert open_dataset(shop_dataset.folder.name).manifest.tables
    assert provenance("no-such") == provenance("hub:a/b/no-such") == Provenance()


def test_a_copy_without_the_keys_does_not_hide_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rel-nycflights").mkdir()
    (tmp_path / "rel-nycflights" / "manifest.yaml").write_text("name: rel-nycflights\ndescription: a copy\n")
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path))
    assert provenance("rel-nycflights@backtest=1").licence == "CC0"
