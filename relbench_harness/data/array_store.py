"""Arrays on disk: written whole or not at all, checked by size and checksum, mapped into memory.

A store is a folder with one file per array and an `index.json`, which is written last and moved into place with the rest.
Whatever is damaged or half-written is not opened: the caller builds it again.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from relbench_harness.data.cache import cache_home
from relbench_harness.data.writing import write_whole

FORMAT = 1
BLOCK = 1 << 24
LARGE = 1 << 28
"""Bytes from which an array to work with lies in a file."""


def spacious(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Zeros to work with: in memory, or where there are many, mapped to a nameless file beside the cached databases.

    What is mapped the system can take back when memory is short, so that more can be worked with than memory holds.
    """
    if math.prod(shape) * np.dtype(dtype).itemsize < LARGE:
        return np.zeros(shape, dtype)
    cache_home().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=cache_home()) as file:
        return _mapped(file, shape, dtype).view(np.ndarray)


def _mapped(file: IO[bytes], shape: tuple[int, ...], dtype: DTypeLike) -> np.memmap[Any, Any]:
    """A new file as an array. Its space is claimed now, for a disk found full later would end the process without a word."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if sys.platform == "linux":
        os.posix_fallocate(file.fileno(), 0, size)
    else:
        file.truncate(size)
    return np.memmap(file, dtype, mode="r+", shape=shape)


@dataclass
class Draft:
    """A store being written."""

    folder: Path
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)

    def array(self, name: str, dtype: DTypeLike, shape: tuple[int, ...]) -> NDArray[Any]:
        """An array of the store, to be filled before the block ends."""
        if math.prod(shape) == 0:
            self.arrays[name] = np.empty(shape, dtype)
        else:
            with (self.folder / name).open("w+b") as file:
                self.arrays[name] = _mapped(file, shape, dtype)
        return self.arrays[name]


@contextmanager
def writing(folder: Path, identity: str) -> Iterator[Draft]:
    """Write a store to `folder`, replacing what lies there; a block left by an exception leaves nothing behind."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        draft = Draft(partial)
        yield draft
        index: dict[str, Any] = {"format": FORMAT, "identity": identity, "arrays": {}}
        for name, array in draft.arrays.items():
            if isinstance(array, np.memmap):
                array.flush()
            kind = {"dtype": np.dtype(array.dtype).str, "shape": list(array.shape)}
            index["arrays"][name] = kind | {"crc32": _checksum(partial / name)}
        draft.arrays.clear()
        write_whole(partial / "index.json", json.dumps(index, indent=1))
        shutil.rmtree(folder, ignore_errors=True)
        try:
            partial.replace(folder)
        except OSError:
            # another process that builds the same store was faster
            if opened(folder, identity) is None:
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def opened(folder: Path, identity: str, private: bool = False, threads: int = 2) -> Mapping[str, NDArray[Any]] | None:
    """The arrays of the store in `folder`, mapped; None where there is none, it is damaged, or it is not `identity`.

    Args:
        private: Map so that the arrays count as writable (changes stay in memory). Kernels are compiled for writable
            arrays, and once more for others.
    """
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        if index["format"] != FORMAT or index["identity"] != identity:
            return None
        kinds = {n: (np.dtype(a["dtype"]), tuple(a["shape"]), int(a["crc32"])) for n, a in index["arrays"].items()}
        for name, (dtype, shape, _) in kinds.items():
            expected = math.prod(shape) * dtype.itemsize
            if (folder / name).stat().st_size != expected if expected else False:
                return None
        with ThreadPoolExecutor(threads) as pool:
            sums = pool.map(lambda name: _checksum(folder / name), kinds)
            if any(found != kinds[name][2] for name, found in zip(kinds, sums, strict=True)):
                return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    mode: Literal["c", "r"] = "c" if private else "r"
    return {
        name: np.memmap(folder / name, dtype, mode=mode, shape=shape) if math.prod(shape) else np.empty(shape, dtype)
        for name, (dtype, shape, _) in kinds.items()
    }


def _checksum(path: Path) -> int:
    """CRC-32 of a file; 0 where an empty array has none."""
    total = 0
    if path.is_file():
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                total = zlib.crc32(block, total)
    return total
