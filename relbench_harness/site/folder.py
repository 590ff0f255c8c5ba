"""The folder of a site on disk.

Invariants: a file that is no part of an earlier site is never replaced or deleted. Each file is written whole, and a publish that
was ended at any moment can be repeated: what it may have written is listed before the first page is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from relbench_harness.data.writing import PARTIAL, write_whole
from relbench_harness.errors import InputError

LISTED = "site.json"
"""The file that lists the files of the site in its folder."""
KIND = "relbench-harness site"


def write_site(folder: Path, files: Mapping[str, str]) -> None:
    """Writes `files`, by their path below `folder`, and removes those of an earlier site that are none of them.

    Raises:
        InputError: The folder holds something else than an earlier site.
    """
    earlier = check(folder)
    _list(folder, earlier | set(files))
    for name, content in sorted(files.items()):
        write_whole(folder / name, content)
    for name in sorted(earlier - set(files)):
        (folder / name).unlink(missing_ok=True)
        with suppress(OSError):
            (folder / name).parent.rmdir()
    _list(folder, set(files))


def check(folder: Path) -> set[str]:
    """The files of the earlier site in `folder`; none where there is no folder or an empty one.

    Raises:
        InputError: It holds something else.
    """
    if not folder.exists():
        return set()
    if not folder.is_dir():
        raise InputError(f"{folder} is a file; a site is a folder")
    listed = _listed(folder / LISTED)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name in listed or name == LISTED or path.name.startswith(PARTIAL) or (path.is_dir() and not path.is_symlink()):
            continue
        raise InputError(f"{folder} holds {name!r}, which is no part of a site; publish to another folder, such as site")
    return listed


def _listed(path: Path) -> set[str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return set()
    except (OSError, ValueError, RecursionError):
        found = None
    names = found.get("files") if isinstance(found, dict) and found.get("kind") == KIND else None
    if not isinstance(names, list) or not all(isinstance(name, str) and _below(name) for name in names):
        raise InputError(f"{path} is no list of the files of a site; publish to another folder")
    return set(names)


def _below(name: str) -> bool:
    """Whether `name` leads to a file below its folder and nowhere else."""
    parts = name.split("/")
    return "\\" not in name and ":" not in name and not {"", ".", ".."} & set(parts)


def _list(folder: Path, names: set[str]) -> None:
    write_whole(folder / LISTED, json.dumps({"kind": KIND, "files": sorted(names)}, indent=1) + "\n")
