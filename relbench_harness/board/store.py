"""Results on disk: one file per run, created once and never written again; predictions as Parquet beside it.

Layout: `<folder>/<dataset>__<task>/<method>/<regime>-seed<seed>-<identity>-<UTC time>-<random>.json`, one JSON line each, so
that runs at the same time cannot meet, results can be copied together from many machines, and whether a run is there can be
seen from names. Folders that sweeps keep for themselves, `.started`, `.launched` and `sweeps`, hold no results.
"""

from __future__ import annotations

import io
import json
import re
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar

from relbench_harness.data.writing import partial_name, whole, write_whole
from relbench_harness.errors import InputError, NotStoredError, sentence
from relbench_harness.protocol.result import Outcome, Result

if TYPE_CHECKING:
    import pyarrow as pa

OWN = re.compile(r"(frozen|rolling)-seed-?\d+-(?:(?P<identity>[0-9a-f]{32})-)?\d{8}T\d{6}Z-[0-9a-f]+\.json")
"""Names of files that `write` makes: such a file must hold a result. Any other JSON file may be someone else's."""
STARTED, SWEEPS, LAUNCHED = ".started", "sweeps", ".launched"
"""Folders of a results folder that sweeps keep for themselves."""
COLUMNS = ("split", "entity", "time", "prediction")


def ready(folder: Path) -> None:
    """Makes sure that results can be written to `folder`, before a run spends its time.

    Raises:
        InputError: They cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / partial_name()
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise InputError(f"results cannot be written to {folder}: {sentence(error)}") from None


def write(outcome: Outcome, folder: Path) -> Outcome:
    """Writes a run's result and predictions to new files in `folder`; the outcome returned names the predictions.

    Raises:
        NotStoredError: Files cannot be made there. The message names the folder for temporary files in which the result
            lies instead or, where that is full as well, holds the result.
    """
    result, predictions = outcome
    if predictions is not None and tuple(predictions.column_names) != COLUMNS:
        raise ValueError(f"predictions have columns {predictions.column_names}, expected {list(COLUMNS)}")
    try:
        return place(outcome, folder)
    except OSError as error:
        why = f"the result of {result.method} on {result.task} cannot be written to {folder}: {sentence(error)}"
    try:
        elsewhere = Path(tempfile.mkdtemp(prefix="relbench-harness-results-"))
        place(outcome, elsewhere)
    except OSError:
        raise NotStoredError(f"{why}; it is lost but for this line: {result.to_json()}") from None
    raise NotStoredError(f"{why}; it lies in {elsewhere}") from None


def place(outcome: Outcome, folder: Path) -> Outcome:
    """As `write`, but what the system refuses is raised as it is, and nothing is left there.

    Raises:
        OSError: Files cannot be made in `folder`.
    """
    result, predictions = outcome
    home = home_of(result.task, result.method, folder)
    known = f"{result.identity}-" if result.identity else ""
    stem = f"{result.regime}-seed{result.seed}-{known}{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
    stored = home / f"{stem}.parquet"
    if predictions is not None:
        # the predictions first: a result that names them is only there once they are
        with whole(stored, new=True) as file:
            write_predictions(predictions, file)
        result = replace(result, predictions=stored.name)
    try:
        write_whole(home / f"{stem}.json", result.to_json() + "\n", new=True)
    except OSError:
        if predictions is not None:
            stored.unlink(missing_ok=True)
        raise
    return Outcome(result, predictions)


def write_predictions(predictions: pa.Table, file: IO[bytes]) -> None:
    """Writes predictions as Parquet, in the smaller of two encodings: of some methods few values repeat, of others hardly one does."""
    file.write(min((_encoded(predictions, repeating) for repeating in (False, True)), key=len))


def _encoded(predictions: pa.Table, repeating: bool) -> bytes:
    """The file in which values are a dictionary if they are `repeating`, and whole numbers in rising runs their differences."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    encodings: dict[str, str] = {}
    dictionaries: list[str] = []
    for one in predictions.schema:
        path, kind = (
            (f"{one.name}.list.element", one.type.value_type) if pa.types.is_list(one.type) else (one.name, one.type)
        )
        if pa.types.is_integer(one.type):
            encodings[path] = "DELTA_BINARY_PACKED"
        elif not repeating and (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            encodings[path] = "BYTE_STREAM_SPLIT"
        else:
            dictionaries.append(path)
    made = io.BytesIO()
    pq.write_table(
        predictions,
        made,
        compression="zstd",
        compression_level=19,
        use_dictionary=dictionaries,
        column_encoding=encodings,
    )
    return made.getvalue()


def home_of(task: str, method: str, folder: Path) -> Path:
    """Where in `folder` the results of a method on a task lie."""
    return folder / folder_name(task.replace("/", "__")) / folder_name(method)


def folder_name(name: str) -> str:
    return re.sub(r"[^\w.@=,+-]+", "_", name).lstrip(".") or "_"


Report = Callable[[InputError], None]
T = TypeVar("T")


def read_results(folder: Path, broken: Report | None = None) -> list[Result]:
    """Every result in or below `folder` (or in the one file of that name), in the order of their paths.

    JSON files that are no results are passed over, except those whose name says that they are.

    Args:
        broken: Is called with each result that cannot be read and with predictions that are missing; the rest is read all the
            same. None: the first of them is raised.

    Raises:
        InputError: The folder is missing, or a result cannot be read.
    """
    if not folder.exists():
        raise InputError(f"no results folder {folder}")
    return [result for _, result in located_results(folder, broken or _raise)]


def _raise(error: InputError) -> None:
    raise error


def read_each(paths: Iterable[Path], read: Callable[[str, str], T], broken: Report) -> list[T]:
    """What `read(text, name)` makes of each file; one that cannot be read goes to `broken`."""
    found = []
    for path in paths:
        try:
            found.append(read(path.read_text(encoding="utf-8"), str(path)))
        except (OSError, UnicodeDecodeError) as error:
            broken(InputError(f"{path} cannot be read: {error}"))
        except InputError as error:
            broken(error)
    return found


def located_results(folder: Path, broken: Report = _raise) -> Iterator[tuple[Path, Result]]:
    """(file, result) for every result in or below `folder`; see `read_results`."""
    paths = [folder] if folder.is_file() else sorted(p for kind in ("*.json", "*.jsonl") for p in folder.rglob(kind))
    paths = [p for p in paths if STARTED not in p.relative_to(folder).parts and p.parent != folder / SWEEPS]
    for path in paths:
        own = OWN.fullmatch(path.name) is not None
        try:
            candidates = list(_candidates(path, own or path == folder))
        except InputError as error:
            broken(error)
            continue
        for line, text in candidates:
            try:
                result = Result.from_json(text, f"{path}:{line}")
            except InputError as error:
                broken(error)
                continue
            if result.predictions and Path(result.predictions).name != result.predictions:
                broken(InputError(f"{path} names predictions {result.predictions!r}, which is no name of a file beside it"))
                continue
            if own and result.predictions and not path.with_name(result.predictions).is_file():
                broken(InputError(f"{path} names predictions {result.predictions}, which are missing; its scores count"))
            yield path, result


def _candidates(path: Path, named: bool) -> Iterator[tuple[int, str]]:
    """(line, text) that ought to hold a result, in a file that may be foreign unless it was `named` as one."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        if named:
            raise InputError(f"{path} cannot be read: {error}") from None
        return
    if path.suffix == ".json" and not named:
        # another program's file may well be spread over many lines
        yield from [(1, text)] if _looks_like_result(text) else []
        return
    # other signs that end a line may stand in a text of JSON
    lines = [(i, line) for i, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if named or any(_looks_like_result(line) for _, line in lines):
        if named and not lines:
            raise InputError(f"{path} holds no result: it is empty")
        yield from lines


def _looks_like_result(text: str) -> bool:
    try:
        loaded = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(loaded, dict) and {"task", "method", "status", "regime"} <= loaded.keys()
