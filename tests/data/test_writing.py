"""Files are written whole or not at all."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from relbench_harness.data.writing import whole, write_whole


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    write_whole(path, "ältere")
    write_whole(path, b"newer")
    assert path.read_bytes() == b"newer"
    assert list(path.parent.iterdir()) == [path]


def test_what_fails_midway_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_whole(path, "old")
    with pytest.raises(KeyboardInterrupt), whole(path) as file:
        file.write(b"half of the n")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_new_file_replaces_none(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_whole(path, "first", new=True)
    with pytest.raises(FileExistsError) as caught:
        write_whole(path, "second", new=True)
    assert caught.value.filename == str(path) or caught.value.filename2 == str(path)
    assert path.read_text() == "first" and list(tmp_path.iterdir()) == [path]


def test_of_many_writers_of_one_new_file_one_wins(tmp_path: Path) -> None:
    def write(number: int) -> int:
        try:
            write_whole(tmp_path / "file", str(number) * 10_000, new=True)
            return 1
        except FileExistsError:
            return 0

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(write, range(8))) == 1
    assert len(set((tmp_path / "file").read_text())) == 1 and len(list(tmp_path.iterdir())) == 1


def test_the_longest_name_that_the_system_takes_can_be_written(tmp_path: Path) -> None:
    longest = os.pathconf(tmp_path, "PC_NAME_MAX")
    write_whole(tmp_path / ("n" * longest), "x")
    with pytest.raises(OSError, match="too long") as caught:
        write_whole(tmp_path / ("n" * (longest + 1)), "x")
    assert caught.value.filename == str(tmp_path / ("n" * (longest + 1)))
    assert [len(path.name) for path in tmp_path.iterdir()] == [longest]


def test_a_file_that_outgrows_its_limit_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "large"
    write_whole(path, "old")
    script = f"from relbench_harness.data.writing import write_whole; write_whole(__import__('pathlib').Path({str(path)!r}), 'x' * 100_000)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000)),
    )
    assert done.returncode == 1 and f"File too large: '{path}'" in done.stderr
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
