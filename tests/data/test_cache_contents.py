"""What the cache holds is counted, and only what was not used lately is removed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from relbench_harness.cli import main
from relbench_harness.data.cache_contents import DAY, contents, remove_unused


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of two databases, a cut table and the folder of a run; the first database and the run were used ten days ago."""
    monkeypatch.setenv("RELBENCH_HARNESS_CACHE", str(tmp_path))
    for name in (
        "databases/old-1/a.arrow",
        "databases/new-2/a.arrow",
        "databases/new-2/b.arrow",
        "views/cut",
        "runs/1-2-3/x",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 1000)
        if "old" in name or "runs" in name or name.endswith("b.arrow"):
            os.utime(path, (time.time() - 10 * DAY,) * 2)
    return tmp_path


def test_what_was_not_used_lately_is_removed_whole(cache: Path) -> None:
    found = {one.path.name: one for one in contents()}
    assert {name: one.size for name, one in found.items()} == {"old-1": 1000, "new-2": 2000, "cut": 1000}
    assert remove_unused(contents(), 11) == []
    assert [one.path.name for one in remove_unused(contents(), 9)] == ["old-1"]
    assert not (cache / "databases/old-1").exists() and (cache / "databases/new-2/b.arrow").is_file()
    assert (cache / "runs/1-2-3/x").is_file(), "folders of runs are cleared by runs"


def test_the_command_lists_removes_and_refuses(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache"]) == 0
    said = capsys.readouterr().out
    assert "0.0 MB" in said and "built databases: 2" in said and "old-1" in said and "cut tables: 1" in said
    assert main(["cache", "--remove-unused", "0.5"]) == 2
    assert "from 1" in capsys.readouterr().err and (cache / "databases/old-1").exists()
    assert main(["cache", "--remove-unused", "nan"]) == 2
    capsys.readouterr()
    assert main(["cache", "--remove-unused", "9"]) == 0
    assert "removed 1 of 3 things" in capsys.readouterr().out and not (cache / "databases/old-1").exists()
