"""What rows say by themselves, computed once per distinct row of a batch and shared by all questions that see it.

The parents of a row are older than it almost always, and then what a row and its parents say does not depend on who asks.
`close` finds those parents; `RowEncoder` turns the attributes of each row into a vector and adds its parents'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from relbench_harness.data.array_store import spacious
from relbench_harness.data.compiled import compiled
from relbench_harness.data.database import Database
from relbench_harness.graph.attributes import Layout

Rows = NDArray[np.int64]
ForeignKey = tuple[str, str]
"""(child table, column)."""
_NONE = np.empty(0, np.int64)
GAPS = 3
"""How many numbers describe how much older a row is than the one that finds it by an as-of key."""


class Link(NamedTuple):
    """Which rows of one table find a row of another.

    Attributes:
        child, parent: (pairs,) places among the distinct rows of both; children ascend.
        reach: How many of the pairs, the first, are of rows at most 0, 1, … generations from a sampled one.
    """

    child: Tensor
    parent: Tensor
    reach: tuple[int, ...]

    @classmethod
    def of(cls, place: Rows, reach: Sequence[int]) -> Link:
        """From what each row finds, −1 for nothing, and how many of the rows are at most 0, 1, … generations away."""
        child = np.flatnonzero(place >= 0)
        ends = tuple(int(end) for end in np.searchsorted(child, reach))
        return cls(torch.from_numpy(child), torch.from_numpy(place[child]), ends)

    def within(self, generation: int) -> Link:
        """The pairs of rows at most so many generations from a sampled one."""
        pairs = self.reach[generation]
        return Link(self.child[:pairs], self.parent[:pairs], self.reach[: generation + 1])


@dataclass(frozen=True)
class Content:
    """What a `RowEncoder` reads.

    Attributes:
        records: Table → (distinct rows, words), packed; sampled rows first, then those that they read, and so on.
        reach: For 0, 1, … generations, table → how many of its rows, the first, are at most so many from a sampled one.
        folds: Foreign key → which rows have which older parent.
        beside: As-of key → which sampled rows find what.
        between: Foreign key → (pairs, comparisons), what numbers depart by from those of the older parent; as-of key →
            (pairs, GAPS), how much older that is what it finds.
    """

    records: dict[str, Tensor]
    reach: list[dict[str, int]]
    folds: dict[ForeignKey, Link]
    beside: dict[ForeignKey, Link]
    between: dict[ForeignKey, Tensor]


class Ancestry:
    """Which parents of a row are visible wherever the row is."""

    def __init__(self, database: Database) -> None:
        self.parent = {(name, c): p for name, table in database.items() for c, p in table.references.items()}
        self._older = {key: older_parents(database, *key) for key in self.parent}

    def close(
        self, asked: Mapping[str, Rows], generations: int, beside: Mapping[ForeignKey, tuple[str, Rows]]
    ) -> tuple[dict[str, Rows], list[dict[str, int]], dict[ForeignKey, Rows]]:
        """`asked` (distinct, by table), followed by their older parents, grandparents, … up to `generations` away.

        Args:
            beside: As-of key → the table in which it finds rows, and what each of `asked` finds (−1 for none); those rows
                belong to the first generation as well.

        Returns:
            Table → rows; for 0, 1, … `generations`, table → how many of its rows, the first, are at most so many away; and
            foreign or as-of key → for each of the child's rows, the place among the parent's of the
            older parent, −1 where there is none or the row itself is too far away for its parents to be read.
        """
        held = {name: np.asarray(r, np.int64) for name, r in asked.items() if len(r)}
        places: dict[ForeignKey, list[Rows]] = {}
        named: dict[str, list[tuple[ForeignKey, Rows]]] = {}
        for key, (table, found) in beside.items():
            named.setdefault(table, []).append((key, found))
        read: dict[str, int] = {}
        reach = [{name: len(rows) for name, rows in held.items()}]
        for _ in range(generations):
            for key, parent in self.parent.items():
                fresh = held.get(key[0], _NONE)[read.get(key[0], 0) :]
                if len(fresh):
                    named.setdefault(parent, []).append((key, self._older[key][fresh].astype(np.int64)))
            read = reach[-1]
            for table, parts in named.items():
                rows, place = _joined(held.get(table, _NONE), np.concatenate([part for _, part in parts]))
                if len(rows):
                    held[table] = rows
                ends = np.cumsum([len(part) for _, part in parts])[:-1]
                for (key, _), where in zip(parts, np.split(place, ends), strict=True):
                    places.setdefault(key, []).append(where)
            named = {}
            reach.append({name: len(rows) for name, rows in held.items()})
        found_in = {**self.parent, **{key: table for key, (table, _) in beside.items()}}
        joined = {key: np.concatenate(parts) for key, parts in places.items() if found_in[key] in held}
        return (
            held,
            reach,
            {key: np.pad(found, (0, len(held[key[0]]) - len(found)), constant_values=-1) for key, found in joined.items()},
        )

    def late(self, known: Database) -> set[ForeignKey]:
        """Foreign keys of `known` that name a parent younger than its child, so that each question must look itself."""
        return {
            (name, column)
            for name, table in known.items()
            for column in table.references
            if bool(((self._older[name, column] < 0) & (table.parents(column) >= 0)).any())
        }


def older_parents(database: Database, child: str, column: str) -> NDArray[np.integer]:
    """(rows of `child`,) the parent that `column` names where it is static or no younger than the row, else −1."""
    table = database[child]
    named, parent = table.parents(column), database[table.references[column]]
    older = spacious(named.shape, np.int32 if len(parent) < 2**31 else np.int64)
    older[...] = named
    if parent.times is not None and (table.times is None or len(parent) == 0):
        older[...] = -1
    elif parent.times is not None and table.times is not None:
        older[parent.times[named.clip(0)] > table.times] = -1
    return older


def covered(database: Database) -> int:
    """Nanoseconds from the first to the last row of the table that covers most time; 0 where no table has rows in time."""
    timed = [t.times for t in database.values() if t.times is not None and len(t)]
    return max((int(t[-1] - t[0]) for t in timed), default=0)


@compiled
def _joined(held: Rows, named: Rows) -> tuple[Rows, Rows]:
    """`held` (distinct) followed by what of `named` it lacks, each once, and the place of each of `named`; −1 has none."""
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


class TableEncoder(nn.Module):
    """A row's own attributes as a vector: numbers and text vectors through one matrix, codes by embeddings.

    Numbers that drift are left out, and so are moments, which say how late it is: a question's own dates are read as ages
    elsewhere.
    """

    def __init__(self, layout: Layout, channels: int, steady: NDArray[np.bool_]) -> None:
        super().__init__()
        self.layout = layout
        self.steady: Tensor
        self.register_buffer("steady", torch.from_numpy(np.flatnonzero(steady)), persistent=False)
        self.first: Tensor
        self.base = nn.Parameter(torch.zeros(channels))
        width = 2 * len(self.steady) + len(layout.names("vectors"))
        self.numbers = nn.Linear(width, channels, bias=False) if width else None
        columns = [*layout.cardinalities, *(size for count, size in layout.sets for _ in range(count))]
        # place 0 of the table of embeddings is for what a list does not hold
        self.codes = nn.EmbeddingBag(1 + sum(columns), channels, mode="sum", padding_idx=0) if columns else None
        first = [1 + int(n) for n in np.cumsum([0, *columns])[:-1]]
        self.register_buffer("first", torch.tensor(first, dtype=torch.int32), persistent=False)
        self.shape = nn.Sequential(nn.LayerNorm(channels), nn.ReLU(inplace=True))
        self.out = nn.Linear(channels, channels)

    def forward(self, packed: Tensor) -> Tensor:
        """(rows, channels) from packed records (rows, words), before the last layer `out`."""
        row = self.layout.unpack(packed)
        # the base is the weight of a column of ones
        values, weights = [self.base.new_ones(len(packed), 1)], [self.base[:, None]]
        spread = None
        if self.numbers is not None:
            numbers = row.numbers.index_select(1, self.steady)
            values += [numbers.nan_to_num(0.0), numbers.isnan().logical_not().float(), row.vectors.float()]
            weights.append(self.numbers.weight)
        if self.codes is not None:
            sets = torch.where(row.sets == 0, -1 - self.first[row.codes.shape[1] :], row.sets)
            codes = (torch.cat([row.codes, sets], dim=1) + self.first).clamp(min=0)
            if len(self.codes.weight) > self.out.in_features:
                spread = self.codes(codes)
            else:  # so few cost less as columns of ones and zeros
                hot = self.base.new_zeros(len(codes), len(self.codes.weight))
                values.append(hot.scatter_add_(1, codes.long(), hot.new_ones(()).expand(codes.shape))[:, 1:])
                weights.append(self.codes.weight[1:].T)
        state = functional.linear(torch.cat(values, dim=1), torch.cat(weights, dim=1))
        if spread is not None:
            state = state + spread
        shaped: Tensor = self.shape(state)
        return shaped


class RowEncoder(nn.Module):
    """Every row of a batch as a vector: its attributes, and `generations` times those of its parents.

    What as-of keys find is read with its own parents, one generation less, by the rows that were sampled and not by those
    that are there as parents.
    """

    def __init__(
        self,
        layouts: Mapping[str, Layout],
        steady: Mapping[str, NDArray[np.bool_]],
        parents: Mapping[ForeignKey, str],
        beside: Mapping[ForeignKey, str],
        compared: Mapping[ForeignKey, int],
        channels: int,
        generations: int,
    ) -> None:
        super().__init__()
        self.tables = nn.ModuleDict(
            {module_name(t): TableEncoder(layout, channels, steady[t]) for t, layout in layouts.items()}
        )
        self.read_from = {**parents, **beside}
        self.hearing = {table for table, _ in self.read_from}
        self.generations = generations
        self.weights = nn.ModuleDict({module_name(*key): nn.Linear(channels, channels, bias=False) for key in parents})
        self.weights.update({module_name(*key): silent(channels, channels) for key in beside})
        between = {**dict.fromkeys(beside, GAPS), **compared}
        self.between = nn.ModuleDict({module_name(*key): silent(width, channels) for key, width in between.items()})

    def forward(self, content: Content) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Table → (rows, channels) of the sampled rows without parents, and with them."""
        last, links = self.generations - 1, {**content.folds, **content.beside}
        inner = {table: self._table(table)(packed) for table, packed in content.records.items()}
        # rows of these tables tell others what they have heard; of the rest, only sampled rows hear anything
        passing = {self.read_from[key] for key, link in links.items() if any(link.reach[:last])} & self.hearing
        far = {table: last if table in passing else 0 for table in inner}
        own = {
            table: self._table(table).out(_first(rows, count))
            for table, rows in inner.items()
            if (count := content.reach[far[table]].get(table, 0))
        }
        # what hears nothing tells the same in every generation
        deaf = {key: link for key, link in content.folds.items() if self.read_from[key] not in self.hearing}
        rest = {key: link for key, link in content.folds.items() if key not in deaf}
        base = {
            table: self._heard(table, rows, deaf, far[table], inner, {}, content.between) for table, rows in own.items()
        }
        state: dict[str, Tensor] = {}
        for left in range(last, -1, -1):
            found = rest if left else {**rest, **content.beside}
            told = {}
            for table, heard in base.items():
                if far[table] >= left and (count := content.reach[left].get(table, 0)):
                    rows = _first(heard, count)
                    told[table] = self._heard(table, rows, found, left, inner, state, content.between)
                    if table in self.hearing:
                        told[table] = torch.relu(rows) if told[table] is rows else told[table].relu_()
            state = told
        return own, state

    def _table(self, name: str) -> TableEncoder:
        return cast(TableEncoder, self.tables[module_name(name)])

    def _heard(
        self,
        table: str,
        rows: Tensor,
        links: Mapping[ForeignKey, Link],
        generation: int,
        inner: Mapping[str, Tensor],
        state: Mapping[str, Tensor],
        between: Mapping[ForeignKey, Tensor],
    ) -> Tensor:
        """(rows, channels) `rows` of `table` and what those at most `generation` away hear along its `links`."""
        heard = rows
        mine = [(key, link.within(generation)) for key, link in links.items() if key[0] == table and link.reach[generation]]
        # a key by which every row finds something needs no scattering
        for key, link in sorted(mine, key=lambda found: len(found[1].child) < len(rows)):
            told = self._told(key, link.parent, inner, state)
            if key in between:
                told = told + self.between[module_name(*key)](between[key][: len(link.child)])
            if len(link.child) == len(rows):
                heard = heard + told
            else:
                heard = heard.index_add(0, link.child, told) if heard is rows else heard.index_add_(0, link.child, told)
        return heard

    def _told(self, key: ForeignKey, chosen: Tensor, inner: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> Tensor:
        """(pairs, channels) what the chosen rows tell: their `state`, or where they have heard nothing yet, themselves."""
        table, layer = self.read_from[key], cast(nn.Linear, self.weights[module_name(*key)])
        if table in self.hearing and table in state:
            rows, weight, bias = state[table], layer.weight, None
        else:  # two linear layers behind each other are one
            out = self._table(table).out
            rows, weight, bias = inner[table], layer.weight @ out.weight, layer.weight @ out.bias
        # by the way that multiplies fewer
        if len(chosen) < len(rows):
            return functional.linear(rows.index_select(0, chosen), weight, bias)
        return functional.linear(rows, weight, bias).index_select(0, chosen)


def _first(rows: Tensor, count: int) -> Tensor:
    return rows if count == len(rows) else rows[:count]


def silent(inputs: int, outputs: int) -> nn.Linear:
    """A linear map that starts at zero: a further source of news, to which a network that learns briefly hardly listens.

    Branches that start silent leave the network as it is without them until they help (Bachlechner et al., 2021).
    """
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.zeros_(layer.weight)
    return layer


def module_name(*parts: str) -> str:
    """A name for a module: no dot in it, and none that a module has already."""
    return "of " + "/".join(part.replace("%", "%25").replace("/", "%2F").replace(".", "%2E") for part in parts)
