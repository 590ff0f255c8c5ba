"""Labels of windows that were computed from a database and are needed again: a kept model that predicts for one entity after another.

Invariant: what is remembered is about the same database object, which never changes, the same SQL and the same window; it takes a
bounded number of bytes, the oldest going first.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from relbench_harness.data.database import Database

T = TypeVar("T")
Key = tuple[int, str, int, int]
MOST_BYTES = 32 * 2**20


class _Entry(NamedTuple, Generic[T]):
    database: weakref.ref[Database]
    value: T
    bytes: int


class LabelMemory(Generic[T]):
    """Remembers values by database, SQL and window.

    Args:
        size: The bytes of a value.
        most: The bytes of all of them together.
    """

    def __init__(self, size: Callable[[T], int], most: int = MOST_BYTES) -> None:
        self._size, self._most, self._bytes = size, most, 0
        self._entries: OrderedDict[Key, _Entry[T]] = OrderedDict()

    def get(self, database: Database, sql: str, window: tuple[int, int]) -> T | None:
        """The value that was put there for this very database, None where it is not known."""
        entry = self._entries.get((id(database), sql, *window))
        return entry.value if entry is not None and entry.database() is database else None

    def put(self, database: Database, sql: str, window: tuple[int, int], value: T) -> None:
        """Remembers `value`; one that is larger than all may be is not remembered."""
        key, size = (id(database), sql, *window), self._size(value)
        self._forget(key)
        if size > self._most:
            return
        self._entries[key] = _Entry(weakref.ref(database), value, size)
        self._bytes += size
        while self._bytes > self._most:
            self._forget(next(iter(self._entries)))

    def _forget(self, key: Key) -> None:
        gone = self._entries.pop(key, None)
        if gone is not None:
            self._bytes -= gone.bytes

    def __len__(self) -> int:
        return len(self._entries)
