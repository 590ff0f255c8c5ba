"""retail-uk written into every kind of source and imported back: every label table equals the original's."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import relbench
import stores

from relbench_harness.authoring.new_dataset import Wanted, new_dataset
from relbench_harness.data.dataset import open_dataset

SOURCES = ("postgresql", "mariadb", "sqlite", "duckdb", "delta", "csv", "parquet")


def written(kind: str, folder: Path, where: Path, request: pytest.FixtureRequest) -> str:
    if kind == "postgresql":
        return stores.into_postgresql(folder, request.getfixturevalue("postgresql_uri"))
    if kind == "mariadb":
        return stores.into_mariadb(folder, request.getfixturevalue("mariadb_uri"), where)
    return str(getattr(stores, f"into_{kind}")(folder, where))


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", [pytest.param(one, marks=pytest.mark.thorough) if one == "mariadb" else one for one in SOURCES]
)
def test_labels_survive(kind: str, retail: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    where = tmp_path / "source"
    where.mkdir()
    uri = written(kind, retail, where, request)
    if kind == "postgresql":
        # a million rows in a process of its own: its peak memory is bounded, whatever the size of the tables
        child = [sys.executable, "benchmarks/importing.py", uri, "--alone"]
        done = subprocess.run(child, cwd=Path(__file__).parents[2], check=True, capture_output=True, text=True)
        said = json.loads(done.stdout.splitlines()[-1])
        assert said["rows"] > 1_000_000 and said["peak_mb"] < 1500
    imported = new_dataset("again", uri, tmp_path, Wanted())
    assert imported.open == [] and imported.notes == []
    shutil.copytree(retail / "tasks", imported.folder / "tasks", ignore=shutil.ignore_patterns("*.parquet"))
    manifest = imported.folder / "manifest.yaml"
    text = re.sub(r"val_timestamp: .*", "val_timestamp: '2011-06-10'", manifest.read_text())
    manifest.write_text(re.sub(r"test_timestamp: .*", "test_timestamp: '2011-09-10'", text))
    assert "s3cr3t" not in text and "127.0.0.1" not in text

    original, again = open_dataset(str(retail)), open_dataset(str(imported.folder))
    assert {n: s.to_dict() for n, s in again.manifest.tables.items()} == {
        n: s.to_dict() for n, s in original.manifest.tables.items()
    }
    for name in original.task_names:
        mine, theirs = again.task(name), original.task(name)
        for split in ("train", "val", "test"):
            got, want = again.labels(mine, split), original.labels(theirs, split)
            np.testing.assert_array_equal(got.entity, want.entity)
            np.testing.assert_array_equal(got.time, want.time)
            if theirs.item_table is not None:
                assert got.target.equals(want.target.cast(got.target.type))
            else:
                np.testing.assert_allclose(np.asarray(got.target, float), np.asarray(want.target, float), atol=1e-6)
    assert len(relbench.load_dataset(imported.folder).get_db().table_dict["lines"].df) > 0
