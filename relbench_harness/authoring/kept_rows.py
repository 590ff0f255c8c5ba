"""The rows of an import, kept as they were staged, so that a later import reads from the source only what came since.

Invariant: what is kept is whole, or it is taken for absent; it is read through links of one's own, so that another process may put
newer rows in its place meanwhile. All of it can be made again from the source.
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from relbench_harness.authoring.staging import Staged, TextCounts
from relbench_harness.data.writing import link_or_copy, put_folder

INDEX = "rows.json"
LAYOUT = 1


@dataclass(frozen=True)
class KeptTable:
    """The rows of one table.

    Attributes:
        latest: The time of the latest, UTC.
    """

    staged: Staged
    latest: pd.Timestamp


@dataclass(frozen=True)
class KeptRows:
    """The rows of the tables that an import can be appended to.

    Attributes:
        read: When the source was read last, UTC.
    """

    read: pd.Timestamp
    tables: dict[str, KeptTable]


def taken(folder: Path, links: Path) -> KeptRows | None:
    """What `folder` keeps, by files in the new folder `links`; None where nothing whole is kept."""
    links.mkdir()
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if index["layout"] != LAYOUT:
            return None
        tables = {}
        for name, facts in index["tables"].items():
            path = links / facts["file"]
            link_or_copy(folder / facts["file"], path)
            tables[name] = KeptTable(_staged(name, path, facts), pd.Timestamp(facts["latest"]))
        return KeptRows(pd.Timestamp(index["read"]), tables)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep(rows: KeptRows, folder: Path) -> None:
    """Put `rows` into the new `folder`; their files stay where they are, too."""
    folder.mkdir()
    tables = {}
    for number, (name, table) in enumerate(rows.tables.items()):
        file = f"{number}.parquet"
        link_or_copy(table.staged.path, folder / file)
        tables[name] = {"file": file, "latest": str(table.latest), **_facts(table.staged)}
    index = {"layout": LAYOUT, "read": str(rows.read), "tables": tables}
    (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")


def replace_kept(folder: Path, target: Path) -> None:
    """Put `folder` in the place of `target`; where another process puts its own there meanwhile, that stays."""
    target.parent.mkdir(parents=True, exist_ok=True)
    old = folder.with_name(f"{folder.name}-old")
    try:
        with suppress(OSError):
            put_folder(folder, target, old)
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _facts(staged: Staged) -> dict[str, Any]:
    return {
        "rows": staged.rows,
        "schema": _schema_text(staged.schema),
        "source": _schema_text(staged.source),
        "texts": staged.texts,
        "position": staged.position,
        "raw": staged.raw,
        "ticks": sorted(staged.ticks),
        "numeric": sorted(staged.numeric),
        "impossible": staged.impossible,
    }


def _staged(name: str, path: Path, facts: dict[str, Any]) -> Staged:
    texts = {column: TextCounts(*counts) for column, counts in facts["texts"].items()}
    return Staged(
        name, path, facts["rows"], _schema(facts["schema"]), _schema(facts["source"]), texts, facts["position"],
        dict(facts["raw"]), set(facts["ticks"]), set(facts["numeric"]), dict(facts["impossible"]),
    )  # fmt: skip


def _schema_text(schema: pa.Schema) -> str:
    return bytes(schema.serialize()).hex()


def _schema(said: str) -> pa.Schema:
    return pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(said)))
