"""The tutorials run as they stand: their SQL, their commands, their code."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def blocks(name: str, language: str) -> list[str]:
    """The fenced blocks of one language in a document."""
    found: list[str] = []
    inside: str | None = None
    for line in (DOCS / name).read_text().split("\n"):
        fence = re.match(r"\s*```(\w*)$", line)
        if fence is None:
            if inside == language:
                found[-1] += line + "\n"
        elif inside is None:
            inside = fence[1]
            if inside == language:
                found.append("")
        else:
            inside = None
    return found


def commands(name: str) -> list[list[str]]:
    """The harness's commands in a document, in their order."""
    lines = [line for block in blocks(name, "") for line in block.split("\n")]
    return [shlex.split(line)[1:] for line in lines if line.startswith("relbench-harness ")]


def run(arguments: list[str], folder: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "relbench_harness.cli", *arguments],
        cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, (arguments, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout


@pytest.mark.slow
def test_from_a_postgresql_database_to_a_leaderboard_row(postgresql_uri: str, tmp_path: Path) -> None:
    import psycopg

    with psycopg.connect(postgresql_uri, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS tutorial CASCADE; CREATE SCHEMA tutorial; SET search_path = tutorial")
        for statement in filter(str.strip, blocks("add-a-dataset.md", "sql")[0].split(";\n")):
            connection.execute(statement)
    said = []
    for arguments in commands("add-a-dataset.md"):
        given = [postgresql_uri + "?schema=tutorial" if a.startswith("postgresql://") else a for a in arguments]
        if "<run>" in " ".join(given):
            (found,) = (tmp_path / "results/shop/shop__churn/label_history").glob("*.parquet")
            given = [str(found) if "<run>" in a else a for a in given]
        if given[0] == "check-plugin":
            continue
        said.append(run(given, tmp_path, RELBENCH_HARNESS_DATASETS="datasets"))
    everything = "\n".join(said)
    assert "0 errors, 0 leaks" in said[1]
    assert "label_history" in everything and "s3cr3t" not in everything
    head, first = (tmp_path / "churn.csv").read_text().split("\n")[:2]
    assert "email" in head and "@example.org" in first
    assert "<svg" in (tmp_path / "checks" / "shop.html").read_text()


@pytest.mark.slow
def test_from_an_empty_file_to_a_leaderboard_row(tmp_path: Path) -> None:
    """The method is written into a copy of the checkout's packages, as its author would write it into the checkout."""
    root = DOCS.parent
    copy = tmp_path / "checkout"
    for part in ("relbench_harness", "baselines", "configs", "datasets"):
        shutil.copytree(root / part, copy / part, ignore=shutil.ignore_patterns("__pycache__", "*.parquet"))
    (copy / "baselines" / "habit.py").write_text(blocks("add-a-method.md", "python")[0])
    (copy / "configs" / "method" / "habit.yaml").write_text(blocks("add-a-method.md", "yaml")[0])
    link = copy / "relbench_harness" / "baselines"
    if not link.exists():
        link.symlink_to(copy / "baselines")
    for arguments in commands("add-a-method.md"):
        if arguments[0] != "check-plugin":
            said = run(arguments, copy, PYTHONPATH=str(copy))
    assert "habit" in said
