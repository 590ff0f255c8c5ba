"""Files written whole: what stands at a path is complete, on disk, or not there at all.

Invariant: content goes to a temporary file in the same folder, is flushed to disk and then renamed. A full disk, a crash or
Ctrl-C leaves the file that was there before and no partial one.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

PARTIAL = ".partial-"
"""How the names of temporary files begin."""


def partial_name() -> str:
    """A name for a temporary file, which says what process of which host makes it."""
    return f"{partials_of(os.getpid())}{secrets.token_hex(8)}"


def partials_of(pid: int) -> str:
    """How the names of the temporary files of a process of this host begin."""
    host = hashlib.blake2b(socket.gethostname().encode("utf-8", "replace"), digest_size=4).hexdigest()
    return f"{PARTIAL}{host}-{pid}-"


@contextmanager
def whole(path: Path, new: bool = False) -> Iterator[IO[bytes]]:
    """A binary file that stands at `path` once the block ends; folders above it are made.

    Args:
        new: Refuse to replace a file.

    Raises:
        FileExistsError: `new`, and there is a file.
        OSError: The file cannot be written; it names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.parent / partial_name()
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if new:
            _link(partial, path)
        else:
            partial.replace(path)
        flush_folder(path.parent)
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(partial)):
            raise
        raise type(error)(error.errno, error.strerror, str(path)) from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes, new: bool = False) -> None:
    """Write the file whole or not at all; text becomes UTF-8."""
    with whole(path, new) as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)


def _link(partial: Path, path: Path) -> None:
    """Gives the file at `partial` the name `path`, which must be free."""
    try:
        os.link(partial, path)
    except FileExistsError:
        raise
    except OSError:
        # a file system without links
        if path.exists():
            raise FileExistsError(17, os.strerror(17), str(path)) from None
        partial.rename(path)


def link_or_copy(path: Path, to: Path) -> None:
    """Gives the file at `path` the free name `to` as well; copies it where the file system has no links."""
    try:
        os.link(path, to)
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError:
        shutil.copyfile(path, to)


def put_folder(partial: Path, target: Path, aside: Path) -> None:
    """Moves the folder `partial` to `target`; what was there goes to `aside` first and is removed at the end."""
    if target.exists():
        target.rename(aside)
        partial.rename(target)
        shutil.rmtree(aside)
    else:
        partial.rename(target)


def flush_folder(folder: Path) -> None:
    """Makes the names in `folder` last through a crash, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
