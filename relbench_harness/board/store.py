"""Results on disk: one file per run, created once and never written again; predictions as Parquet beside it.

Layout: `<folder>/<dataset>__<task>/<method>/<regime>-seed<seed>-<UTC time>-<random>.json`, one JSON line each, so that
runs at the same time cannot meet, and results can be copied together from many machines.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq

from relbench_harness.errors import InputError
from relbench_harness.protocol.result import Result
from relbench_harness.protocol.run import Outcome

OWN = re.compile(r"(frozen|rolling)-seed-?\d+-\d{8}T\d{6}Z-[0-9a-f]+\.json")
"""Names of files that `write` makes: such a file must hold a result. Any other JSON file may be someone else's."""
COLUMNS = ("split", "entity", "time", "prediction")


def write(outcome: Outcome, folder: Path) -> Outcome:
    """Writes a run's result and predictions to new files in `folder`; the outcome returned names the predictions.

    Raises:
        InputError: Files cannot be made there.
    """
    result, predictions = outcome
    if predictions is not None and tuple(predictions.column_names) != COLUMNS:
        raise ValueError(f"predictions have columns {predictions.column_names}, expected {list(COLUMNS)}")
    home = folder / _folder_name(result.task.replace("/", "__")) / _folder_name(result.method)
    stem = f"{result.regime}-seed{result.seed}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
    try:
        home.mkdir(parents=True, exist_ok=True)
        if predictions is not None:
            # the predictions first: a result that names them is only there once they are
            with (home / f"{stem}.parquet").open("xb") as file:
                pq.write_table(predictions, file, compression="zstd")
            result = replace(result, predictions=f"{stem}.parquet")
        with (home / f"{stem}.json").open("x", encoding="utf-8") as file:
            file.write(result.to_json() + "\n")
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise InputError(f"results cannot be written to {home}: {error.strerror}") from None
    return Outcome(result, predictions)


def _folder_name(name: str) -> str:
    return re.sub(r"[^\w.@=,+-]+", "_", name).lstrip(".") or "_"


def read_results(folder: Path) -> list[Result]:
    """Every result in or below `folder` (or in the one file of that name), in the order of their paths.

    JSON files that are no results are passed over, except those whose name says that they are.

    Raises:
        InputError: The folder is missing, or a result cannot be read.
    """
    if not folder.exists():
        raise InputError(f"no results folder {folder}")
    return [result for _, result in located_results(folder)]


def located_results(folder: Path) -> Iterator[tuple[Path, Result]]:
    """(file, result) for every result in or below `folder`."""
    paths = [folder] if folder.is_file() else sorted(p for kind in ("*.json", "*.jsonl") for p in folder.rglob(kind))
    for path in paths:
        named = path == folder or OWN.fullmatch(path.name) is not None
        for line, text in _candidates(path, named):
            yield path, Result.from_json(text, f"{path}:{line}")


def _candidates(path: Path, named: bool) -> Iterator[tuple[int, str]]:
    """(line, text) that ought to hold a result, in a file that may be foreign unless it was `named` as one."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        if named:
            raise InputError(f"{path} cannot be read: {error}") from None
        return
    if path.suffix == ".json" and not named:
        # another program's file may well be spread over many lines
        yield from [(1, text)] if _looks_like_result(text) else []
        return
    lines = [(i, line) for i, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if named or any(_looks_like_result(line) for _, line in lines):
        if named and not lines:
            raise InputError(f"{path} holds no result: it is empty")
        yield from lines


def _looks_like_result(text: str) -> bool:
    try:
        loaded = json.loads(text)
    except ValueError:
        return False
    return isinstance(loaded, dict) and {"task", "method", "status", "regime"} <= loaded.keys()
