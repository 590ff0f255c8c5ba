"""Foreign-key paths: how rows of one table belong to rows of another.

Invariant: a path is read upwards, from the rows to the row that they belong to; its keys are consecutive.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from relbench_harness.data.database import Database


class ForeignKey(NamedTuple):
    """Column `column` of table `child` names a row of table `parent`."""

    child: str
    column: str
    parent: str


@dataclass(frozen=True)
class KeyPath:
    """A way from the rows of a table up to the rows that they belong to.

    Attributes:
        keys: Foreign keys, the lowest first; each one's parent is the next one's child.
    """

    keys: tuple[ForeignKey, ...]

    @property
    def table(self) -> str:
        """The table whose rows the path starts from."""
        return self.keys[0].child

    @property
    def top(self) -> str:
        """The table that the path leads to."""
        return self.keys[-1].parent

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables on the path, the lowest first, without the top."""
        return tuple(key.child for key in self.keys)

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(key.column for key in self.keys)

    @property
    def name(self) -> str:
        """The path as it is read from the top down, such as `orders[customer]/lines[order]`."""
        return "/".join(f"{key.child}[{key.column}]" for key in reversed(self.keys))


def foreign_keys(database: Database) -> tuple[ForeignKey, ...]:
    """Every foreign key, in the order of the tables and their columns."""
    return tuple(ForeignKey(name, c, parent) for name, table in database.items() for c, parent in table.references.items())


def child_paths(database: Database, top: str, hops: int) -> Iterator[KeyPath]:
    """All paths of at most `hops` keys that lead to `top` and pass no table twice, each before the longer ones through it.

    A key from a table to itself is a path of its own, and part of no other.
    """
    yield from _below(foreign_keys(database), KeyPath(()), top, {top}, hops)


def _below(keys: tuple[ForeignKey, ...], path: KeyPath, table: str, passed: set[str], hops: int) -> Iterator[KeyPath]:
    if not hops:
        return
    for key in keys:
        to_itself = key.child == table and not path.keys
        if key.parent == table and (key.child not in passed or to_itself):
            longer = KeyPath((key, *path.keys))
            yield longer
            if not to_itself:
                yield from _below(keys, longer, key.child, passed | {key.child}, hops - 1)


def parent_paths(database: Database, table: str, top: str, hops: int) -> Iterator[KeyPath]:
    """All paths of at most `hops` keys from `table` to `top`, the shortest first."""
    reached = [KeyPath(())]
    for _ in range(hops):
        reached = [
            KeyPath((*path.keys, ForeignKey(at, column, parent)))
            for path in reached
            for at in (path.top if path.keys else table,)
            for column, parent in database[at].references.items()
        ]
        yield from (path for path in reached if path.top == top)


def keys_away(database: Database, top: str) -> dict[str, int]:
    """Table → the fewest foreign keys between it and `top`, walked up or down; tables that no key leads to are not named."""
    found, step = {top: 0}, 0
    while reached := [name for name, away in found.items() if away == step]:
        step += 1
        for key in foreign_keys(database):
            for one, other in ((key.child, key.parent), (key.parent, key.child)):
                if one in reached:
                    found.setdefault(other, step)
    return found


def tables_below(database: Database, top: str) -> set[str]:
    """Tables whose rows name a row of `top`, or one of such a table, and so on."""
    found: set[str] = set()
    while more := {key.child for key in foreign_keys(database) if key.parent in {top, *found}} - found:
        found |= more
    return found
