"""The folder of a kept model: a manifest beside files, every one of them with its checksum.

Invariant: a folder is written whole or not at all, holds no path outside itself, and is read only where every file is the one that
the manifest names. Checksums find damage, not malice: who can write the folder can write the manifest; what protects then is that
reading makes bare objects of known classes (`codec`).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relbench_harness.data.writing import flush_folder, partial_name, put_folder, write_whole
from relbench_harness.errors import InputError

VERSION = 1
"""Of the layout of a bundle and of its manifest."""
MANIFEST = "manifest.json"
FORMAT = "relbench-harness model"
FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)+")
"""The names of files: none leads out of the folder."""
LARGEST = 1 << 34
"""Bytes of the largest file that is read."""


def check_free(folder: Path) -> None:
    """Raises `InputError` where `folder` is something else than a model, which must not be replaced."""
    if not str(folder).strip() or not folder.name:
        raise InputError(f"save is {str(folder)!r}; name a folder, such as save=models/churn")
    if folder.is_dir() and (not any(folder.iterdir()) or _is_bundle(folder)):
        return
    if folder.exists():
        raise InputError(f"{folder} is there and is no kept model; save under another name")


def _is_bundle(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / MANIFEST).read_bytes()).get("format") == FORMAT)
    except (OSError, ValueError, AttributeError):
        return False


def write_bundle(folder: Path, facts: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    """Writes a model whole, in place of one that is there.

    Raises:
        InputError: Something else is there.
        OSError: It cannot be written.
    """
    check_free(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.parent / partial_name()
    try:
        partial.mkdir()
        for name, content in files.items():
            # the process that a method runs in is not trusted with names of files
            if not FILE.fullmatch(name) or name == MANIFEST:
                raise InputError(f"a kept model has no file called {name!r}")
            write_whole(partial / name, content)
        sums = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
        manifest = {"format": FORMAT, "version": VERSION, **facts, "files": sums}
        text = json.dumps(_strict(manifest), indent=1, ensure_ascii=False, allow_nan=False, default=str)
        write_whole(partial / MANIFEST, text + "\n")
        put_folder(partial, folder, folder.parent / partial_name())
        flush_folder(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _strict(value: Any) -> Any:
    """`value` as JSON knows it, which has neither NaN nor infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _strict(part) for key, part in value.items()}
    return [_strict(part) for part in value] if isinstance(value, list | tuple) else value


def read_bundle(folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The manifest and the files of the model in `folder`.

    Raises:
        InputError: There is none, of another version, or a file of it is not the one that was kept.
    """
    manifest = _manifest(folder)
    files = {}
    for name, digest in manifest["files"].items():
        if not FILE.fullmatch(name):
            raise InputError(f"{folder / MANIFEST} names a file {name!r}, which does not lie in its folder")
        path = folder / name
        if path.is_symlink() or not path.is_file():
            raise InputError(f"{path} is missing, so the kept model cannot be used")
        if path.stat().st_size > LARGEST:
            raise InputError(f"{path} is larger than any file of a kept model")
        files[name] = path.read_bytes()
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise InputError(f"{path} is not the file that was kept: its checksum differs")
    return manifest, files


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(f"no kept model in {folder}: it holds no {MANIFEST}")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is no JSON: {error}") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT or not isinstance(found.get("files"), dict):
        raise InputError(f"{path} is no manifest of a kept model")
    if found.get("version") != VERSION:
        raise InputError(f"{path} is of bundle version {found.get('version')!r}; this version reads {VERSION}")
    return found
