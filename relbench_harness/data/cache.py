"""Built databases on disk: Arrow IPC files, memory-mapped, written whole or not at all, and what they cost to build."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.data.writing import write_whole
from relbench_harness.errors import InputError, sentence
from relbench_harness.timing import restored

FORMAT = 2
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Entry:
    """What cannot be read from a table's Arrow file; `file` is that file's stem, as a table's name may be no file name."""

    file: str
    key: str | None
    time: str | None
    references: dict[str, str]
    dropped: int


def cache_home() -> Path:
    """Where built artefacts are kept: `$RELBENCH_HARNESS_CACHE`, else the user's cache folder."""
    chosen = os.environ.get("RELBENCH_HARNESS_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "relbench-harness"


KERNELS = "NUMBA_CACHE_DIR"
"""The variable that names the folder of compiled kernels; numba reads it when it is loaded."""


def kernels_home() -> Path | None:
    """Where compiled kernels are kept; None where they lie beside the source."""
    chosen = os.environ.get(KERNELS)
    if chosen:
        return Path(chosen)
    return None if os.access(Path(__file__).parent, os.W_OK) else cache_home() / "kernels"


@dataclass(frozen=True)
class Built:
    """A database fresh from its source.

    Attributes:
        files: Arrow files in the scratch folder that hold tables whole and in canonical order: kept, not written again.
        truth: A folder in the scratch folder with what is known about the labels, kept beside the database.
    """

    database: Database
    files: Mapping[str, Path] = field(default_factory=lambda: MappingProxyType({}))
    truth: Path | None = None


def stored(name: str, fingerprint: str, build: Callable[[Path], Built]) -> Path:
    """The folder of the database with this source `fingerprint`; where there is none yet, `build(scratch)` makes it.

    What building cost is charged to phase `load` when the result comes from disk, so a warm cache makes nobody faster.

    Raises:
        InputError: The database cannot be written to the cache; nothing of it is left there.
    """
    folder = _folder(name, fingerprint)
    seconds = _seconds_of_whole(folder)
    if seconds is not None:
        restored("load", seconds)
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-scratch-", dir=folder.parent))
    except OSError as error:
        raise _unkept(folder, error) from None
    try:
        start = time.perf_counter()
        built = build(scratch)
        try:
            _write(built, folder, time.perf_counter() - start)
        except OSError as error:
            raise _unkept(folder, error) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def is_stored(name: str, fingerprint: str) -> bool:
    """Whether the database with this source `fingerprint` is there already."""
    return _seconds_of_whole(_folder(name, fingerprint)) is not None


def _folder(name: str, fingerprint: str) -> Path:
    plain = re.sub(r"[^\w.-]+", "_", name)
    return cache_home() / "databases" / f"{plain}-{fingerprint[:20]}-{FORMAT}"


def _unkept(folder: Path, error: OSError) -> InputError:
    return InputError(
        f"built databases cannot be kept in {folder.parent}: {sentence(error)}; RELBENCH_HARNESS_CACHE names another folder"
    )


def _seconds_of_whole(folder: Path) -> float | None:
    """What building the database in `folder` took; None where there is none or where it is damaged."""
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        open_stored(folder)
        return float(index["seconds"])
    except FileNotFoundError as error:
        if not folder.exists():
            return None
        fault: Exception = error
    except (OSError, ValueError, KeyError, TypeError) as error:
        fault = error
    log.warning("the cached database in %s is damaged and will be built anew (%s)", folder, fault)
    return None


def _write(built: Built, folder: Path, seconds: float) -> None:
    database = built.database
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        entries = {}
        fingerprint = database.fingerprint
        for number, (name, table) in enumerate(database.items()):
            file = str(number)
            entries[name] = asdict(_Entry(file, table.key, table.time, dict(table.references), table.dropped))
            if name in built.files:
                built.files[name].replace(partial / f"{file}.arrow")
            else:
                _write_arrow(table.rows, partial / f"{file}.arrow")
            if table.origin is not None:
                _write_arrow(pa.table({"origin": table.origin}), partial / f"{file}.origin.arrow")
        if built.truth is not None:
            built.truth.replace(partial / "truth")
        index = {"format": FORMAT, "fingerprint": fingerprint, "seconds": seconds, "tables": entries}
        write_whole(partial / "index.json", json.dumps(index, indent=1))
        _put(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _put(partial: Path, folder: Path) -> None:
    """Moves `partial` to `folder`, unless another process, which built the same thing, has finished first."""
    try:
        partial.replace(folder)
    except OSError:
        if _seconds_of_whole(folder) is not None:
            return
        damaged = Path(tempfile.mkdtemp(prefix=f".{folder.name}-damaged-", dir=folder.parent))
        folder.replace(damaged)
        shutil.rmtree(damaged, ignore_errors=True)
        partial.replace(folder)


def _write_arrow(rows: pa.Table, path: Path) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows.combine_chunks())


def open_stored(folder: Path) -> Database:
    """The database stored in `folder`, memory-mapped."""
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    tables = []
    for name, entry in index["tables"].items():
        known = _Entry(**entry)
        origin = folder / f"{known.file}.origin.arrow"
        tables.append(
            Table(
                name=name,
                rows=_read_arrow(folder / f"{known.file}.arrow"),
                key=known.key,
                time=known.time,
                references=MappingProxyType(known.references),
                origin=_read_arrow(origin).column("origin") if origin.is_file() else None,
                dropped=known.dropped,
            )
        )
    database = Database(tables)
    database.__dict__["fingerprint"] = index["fingerprint"]
    return database


def stored_fingerprint(folder: Path) -> str:
    """The fingerprint of the database stored in `folder`, which is not opened."""
    return str(json.loads((folder / "index.json").read_text(encoding="utf-8"))["fingerprint"])


def _read_arrow(path: Path) -> pa.Table:
    with pa.memory_map(str(path), "r") as source:
        return pa.ipc.open_file(source).read_all()
