"""What rows say by themselves, computed once per distinct row of a batch and shared by all questions that see it.

The parents of a row are older than it almost always, and then what a row and its parents say does not depend on who asks.
`close` finds those parents; `RowEncoder` turns the attributes of each row into a vector and adds its parents'.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from relbench_harness.data.database import Database
from relbench_harness.graph.attributes import Layout
from relbench_harness.graph.store import spacious

Rows = NDArray[np.int64]
ForeignKey = tuple[str, str]
"""(child table, column)."""
GAPS = 3
"""How many numbers describe how much older a row is than the one that finds it by an as-of key."""


@dataclass(frozen=True)
class Content:
    """What a `RowEncoder` reads.

    Attributes:
        records: Table → (distinct rows, words), packed.
        folds: Foreign key → place of each distinct row's older parent, −1 for none.
        beside: As-of key → the same of what it finds; −1 as well for rows that are only there as parents.
        gaps: As-of key → (distinct rows, GAPS), how much older that is; 0 where there is none.
    """

    records: dict[str, Tensor]
    folds: dict[ForeignKey, Tensor]
    beside: dict[ForeignKey, Tensor]
    gaps: dict[ForeignKey, Tensor]


class Ancestry:
    """Which parents of a row are visible wherever the row is."""

    def __init__(self, database: Database) -> None:
        self.parent = {(name, c): p for name, table in database.items() for c, p in table.references.items()}
        self._older = {key: _older(database, *key) for key in self.parent}

    def close(self, rows: Mapping[str, Rows], generations: int, beside: Iterable[tuple[str, Rows]] = ()) -> dict[str, Rows]:
        """`rows` (ascending, by table) and their older parents, grandparents, … up to `generations` away.

        Args:
            beside: Tables and rows of them (−1 for none) that belong to the first generation as well.
        """
        held = {name: np.asarray(r, np.int64) for name, r in rows.items() if len(r)}
        fresh, also = held, list(beside)
        for _ in range(generations):
            found: dict[str, list[Rows]] = {}
            for name, more in also:
                found.setdefault(name, []).append(more[more >= 0])
            also = []
            for (child, column), parent in self.parent.items():
                if child in fresh:
                    named = self._older[child, column][fresh[child]].astype(np.int64)
                    found.setdefault(parent, []).append(named[named >= 0])
            fresh = {}
            for name, parts in found.items():
                new = np.setdiff1d(np.concatenate(parts), held.get(name, np.empty(0, np.int64)))
                if len(new):
                    fresh[name] = new
                    held = {**held, name: np.union1d(held[name], new) if name in held else new}
        return held

    def folds(self, rows: Mapping[str, Rows]) -> dict[ForeignKey, Rows]:
        """Foreign key → for each of the child's `rows`, the place of its older parent among the parent's, else −1."""
        places = {}
        for (child, column), parent in self.parent.items():
            if child in rows and parent in rows:
                named = self._older[child, column][rows[child]]
                at = np.searchsorted(rows[parent], named).clip(max=len(rows[parent]) - 1)
                places[child, column] = np.where(rows[parent][at] == named, at, -1)
        return places

    def late(self, known: Database) -> set[ForeignKey]:
        """Foreign keys of `known` that name a parent younger than its child, so that each question must look itself."""
        return {
            (name, column)
            for name, table in known.items()
            for column in table.references
            if bool(((self._older[name, column] < 0) & (table.parents(column) >= 0)).any())
        }


def _older(database: Database, child: str, column: str) -> NDArray[np.integer]:
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


class TableEncoder(nn.Module):
    """A row's own attributes as a vector: numbers and text vectors through one matrix, codes by embeddings.

    Numbers that drift are left out, and so are moments, which say how late it is: a question's own dates are read as ages
    elsewhere.
    """

    def __init__(self, layout: Layout, channels: int, steady: NDArray[np.bool_]) -> None:
        super().__init__()
        self.layout = layout
        self.steady: Tensor
        self.register_buffer("steady", torch.from_numpy(steady), persistent=False)
        self.first: Tensor
        self.base = nn.Parameter(torch.zeros(channels))
        width = 2 * int(steady.sum()) + len(layout.names("vectors"))
        self.numbers = nn.Linear(width, channels, bias=False) if width else None
        columns = [*layout.cardinalities, *(size for count, size in layout.sets for _ in range(count))]
        # place 0 of the table of embeddings is for what a list does not hold
        self.codes = nn.EmbeddingBag(1 + sum(columns), channels, mode="sum", padding_idx=0) if columns else None
        if self.codes is not None:
            nn.init.normal_(self.codes.weight, std=0.1)
        first = [1 + int(n) for n in np.cumsum([0, *columns])[:-1]]
        self.register_buffer("first", torch.tensor(first, dtype=torch.int32), persistent=False)
        self.shape = nn.Sequential(nn.LayerNorm(channels), nn.ReLU(), nn.Linear(channels, channels))

    def forward(self, packed: Tensor) -> Tensor:
        """(rows, channels) from packed records (rows, words)."""
        state = self.base.expand(len(packed), -1)
        if self.numbers is not None or self.codes is not None:
            row = self.layout.unpack(packed)
            if self.numbers is not None:
                numbers = row.numbers[:, self.steady]
                present = numbers.isnan().logical_not().float()
                state = state + self.numbers(torch.cat([numbers.nan_to_num(0.0), present, row.vectors.float()], dim=1))
            if self.codes is not None:
                sets = torch.where(row.sets == 0, -1 - self.first[row.codes.shape[1] :], row.sets)
                codes = torch.cat([row.codes, sets], dim=1) + self.first
                state = state + self.codes(codes.clamp(min=0))
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
        channels: int,
        generations: int,
    ) -> None:
        super().__init__()
        self.tables = nn.ModuleDict(
            {module_name(t): TableEncoder(layout, channels, steady[t]) for t, layout in layouts.items()}
        )
        self.read_from = {**parents, **beside}
        self.generations = generations
        self.weights = nn.ModuleDict({module_name(*key): nn.Linear(channels, channels, bias=False) for key in parents})
        self.weights.update({module_name(*key): silent(channels, channels) for key in beside})
        self.gaps = nn.ModuleDict({module_name(*key): silent(GAPS, channels) for key in beside})

    def forward(self, content: Content) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Table → (rows, channels) without parents and with them."""
        own = {table: self.tables[module_name(table)](packed) for table, packed in content.records.items()}
        state = own
        for generation in range(1, self.generations + 1):
            last = generation == self.generations
            added: dict[str, Tensor] = {}
            for key, place in {**content.folds, **(content.beside if last else {})}.items():
                above = self.weights[module_name(*key)](state[self.read_from[key]])
                padded = torch.cat([above, above.new_zeros(1, above.shape[1])])
                found = padded.index_select(0, torch.where(place < 0, len(above), place))
                if key in content.beside:
                    found = found + self.gaps[module_name(*key)](content.gaps[key])
                added[key[0]] = added[key[0]] + found if key[0] in added else found
            state = {t: torch.relu(own[t] + added[t]) if t in added else own[t] for t in own}
        return own, state


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
