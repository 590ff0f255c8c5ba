"""Kernels are compiled once before sealed runs: by one process at a time, again for other code, and a failure ends no run."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from relbench_harness.protocol import kernels


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that were started; nothing is compiled."""
    found: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        found.append(command)
        return subprocess.CompletedProcess(command, len(found) - 1)

    monkeypatch.setenv("RELBENCH_HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(subprocess, "run", run)
    return found


def test_once_on_a_machine_however_many_are_waiting(started: list[list[str]]) -> None:
    threads = [threading.Thread(target=kernels.ready) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert started == [[sys.executable, "-m", "relbench_harness.warming"]] and kernels.marker().exists()


def test_again_for_other_code_and_a_failure_is_no_error(started: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(kernels.log, "warning", said.append)
    kernels.ready()
    monkeypatch.setattr(kernels, "_digest", lambda: "other")
    kernels.ready()
    kernels.ready()
    assert len(started) == 2 and len(said) == 1 and "could not be compiled" in said[0]


def test_a_cache_that_cannot_be_written_is_no_error(
    started: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RELBENCH_HARNESS_CACHE", str(tmp_path / "file" / "cache"))
    kernels.ready()
    assert not started
