"""Which ancestors a batch's rows have, and in which order messages go from them to the rows.

The parents of a row are nearly always older than it, and then what they hold does not depend on the example. So a row is encoded
with its ancestors once, for all examples that see it. Parents that may be younger are left to the sampler.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np

from relbench_harness.data.compiled import compiled
from relbench_harness.data.database import Database
from relbench_harness.graph.row_batch import AncestorLayer, Key, LayerLink, Link, Rows
from relbench_harness.temporal.paths import foreign_keys
from relbench_harness.temporal.visibility import older_parents

_NONE = np.empty(0, np.int64)


class Found(NamedTuple):
    """What each wanted row of the key's table finds by an as-of key: rows of `table`, −1 for none."""

    table: str
    rows: Rows


class Ancestry(NamedTuple):
    """Rows and their ancestors.

    Attributes:
        rows: Table → distinct rows, the wanted ones first.
        rows_per_depth: For 0, 1, … keys, table → how many of its rows, the first ones, are at most so many keys away.
        place: Key → (rows of the child,) the place of the parent among the parent's rows; −1 where there is none, or the
            row itself is too far away for its parents to be read.
    """

    rows: dict[str, Rows]
    rows_per_depth: list[dict[str, int]]
    place: dict[Key, Rows]

    def links(self) -> dict[Key, Link]:
        """Key → its pairs of a row and its parent."""
        return {
            key: Link.of(place, [count.get(key[0], 0) for count in self.rows_per_depth])
            for key, place in self.place.items()
        }


class AncestorIndex:
    """The parents of every row that are visible wherever the row is: static ones, and those no younger than it.

    Attributes:
        parent: Key → the parent's table.
    """

    def __init__(self, database: Database) -> None:
        keys = foreign_keys(database)
        self.parent: dict[Key, str] = {(key.child, key.column): key.parent for key in keys}
        self._older = {(key.child, key.column): older_parents(database, key) for key in keys}

    def expand(self, wanted: Mapping[str, Rows], depth: int, as_of: Mapping[Key, Found]) -> Ancestry:
        """`wanted` (distinct rows, by table), followed by their parents, grandparents, … up to `depth` keys away.

        Args:
            as_of: As-of key → what each of the wanted rows finds; those rows count as parents.
        """
        held = {name: np.asarray(r, np.int64) for name, r in wanted.items() if len(r)}
        places: dict[Key, list[Rows]] = {}
        named: dict[str, list[tuple[Key, Rows]]] = {}
        for key, found in as_of.items():
            named.setdefault(found.table, []).append((key, found.rows))
        read: dict[str, int] = {}
        rows_per_depth = [{name: len(rows) for name, rows in held.items()}]
        for _ in range(depth):
            for key, parent in self.parent.items():
                fresh = held.get(key[0], _NONE)[read.get(key[0], 0) :]
                if len(fresh):
                    named.setdefault(parent, []).append((key, self._older[key][fresh].astype(np.int64)))
            read = rows_per_depth[-1]
            for table, parts in named.items():
                rows, place = _joined(held.get(table, _NONE), np.concatenate([part for _, part in parts]))
                if len(rows):
                    held[table] = rows
                ends = np.cumsum([len(part) for _, part in parts])[:-1]
                for (key, _), where in zip(parts, np.split(place, ends), strict=True):
                    places.setdefault(key, []).append(where)
            named = {}
            rows_per_depth.append({name: len(rows) for name, rows in held.items()})
        found_in = {**self.parent, **{key: found.table for key, found in as_of.items()}}
        joined = {key: np.concatenate(parts) for key, parts in places.items() if found_in[key] in held}
        padded = {k: np.pad(found, (0, len(held[k[0]]) - len(found)), constant_values=-1) for k, found in joined.items()}
        return Ancestry(held, rows_per_depth, padded)

    def late(self, known: Database) -> set[Key]:
        """Keys of `known` that name a parent younger than its child somewhere, so that each example must look itself."""
        return {
            (key.child, key.column)
            for key in foreign_keys(known)
            if bool(((self._older[key.child, key.column] < 0) & (known[key.child].parents(key.column) >= 0)).any())
        }


class Schedule(NamedTuple):
    """Rounds of messages.

    Attributes:
        leaves: One round from rows of tables without parents of their own, which are the same at every depth. It comes first,
            and later rounds add to what it gave.
        layers: Rounds from all other parents, those of the deepest rows first. Each starts from what the leaves gave.
    """

    leaves: AncestorLayer
    layers: list[AncestorLayer]


def schedule(
    rows_per_depth: list[dict[str, int]], links: Mapping[Key, Link], found_in: Mapping[Key, str], as_of: Collection[Key]
) -> Schedule:
    """The rounds of messages that show every wanted row its ancestors, deepest first, each trimmed to the rows that matter.

    Args:
        found_in: Foreign and as-of key → the table in which it finds rows, of the whole schema.
        as_of: The as-of keys; only wanted rows use them, in the last round.
    """
    deepest = len(rows_per_depth) - 2
    with_parents = {table for table, _ in found_in}
    # rows of these tables pass on what they got; of the others only wanted rows get messages
    passing = {found_in[key] for key, link in links.items() if any(link.pairs_per_depth[:deepest])} & with_parents
    depth = {table: deepest if table in passing else 0 for table in rows_per_depth[-1]}
    needed = {table: count for table, at in depth.items() if (count := rows_per_depth[at].get(table, 0))}
    parent_keys = [key for key in links if key not in as_of]
    leaf_keys = [key for key in parent_keys if found_in[key] not in with_parents]
    inner_keys = [key for key in parent_keys if key not in leaf_keys]
    as_of_keys = [key for key in links if key in as_of]

    def layer(
        rows: Mapping[str, int], keys: Collection[Key], at: Mapping[str, int], before: Collection[str]
    ) -> AncestorLayer:
        def of(table: str) -> tuple[LayerLink, ...]:
            mine = [
                LayerLink(key, pairs, found_in[key] in with_parents and found_in[key] in before)
                for key in keys
                if key[0] == table and (pairs := links[key].pairs_per_depth[at[table]])
            ]
            # a key by which every row finds something needs no scattering, and comes first
            return tuple(sorted(mine, key=lambda link: link.pairs < rows[table]))

        return AncestorLayer(rows, {table: of(table) for table in rows})

    leaves, layers = layer(needed, leaf_keys, depth, ()), []
    updated: Collection[str] = ()
    for left in range(deepest, -1, -1):
        keys = inner_keys if left else [*inner_keys, *as_of_keys]
        counts = rows_per_depth[left]
        rows = {table: counts[table] for table in needed if depth[table] >= left and counts.get(table, 0)}
        layers.append(layer(rows, keys, dict.fromkeys(rows, left), updated))
        updated = rows
    return Schedule(leaves, layers)


@compiled
def _joined(held: Rows, named: Rows) -> tuple[Rows, Rows]:
    """(rows, place): `held` (distinct) followed by what of `named` it lacks, each once; and each of `named` among them.

    −1 is no row and has the place −1.
    """
    bits = 4
    while (1 << bits) < 2 * (len(held) + len(named)):
        bits += 1
    slots, mask = np.full(1 << bits, -1, np.int32), (1 << bits) - 1
    rows, place = np.empty(len(held) + len(named), np.int64), np.empty(len(named), np.int64)
    count = 0
    for i in range(len(rows)):
        row = held[i] if i < len(held) else named[i - len(held)]
        if row < 0:
            place[i - len(held)] = -1
            continue
        # Fibonacci hashing, then the next free slot (Knuth, The Art of Computer Programming 3, 6.4)
        slot = np.int64((np.uint64(row) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - bits))
        while slots[slot] >= 0 and rows[slots[slot]] != row:
            slot = (slot + 1) & mask
        if slots[slot] < 0:
            slots[slot] = count
            rows[count] = row
            count += 1
        if i >= len(held):
            place[i - len(held)] = slots[slot]
    return rows[:count].copy(), place
