"""Plants labels where no example may look: in rows at and after the last cut-off of those examples, in a column of their own.

Invariant: rows that some of the examples may see hold labels drawn at random, whatever is planted later; so two plantings with the
same random numbers differ in later rows alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.data.query import free
from relbench_harness.data.table import Table
from relbench_harness.protocol.audit.rearranged import Draft, Rearranged, Rows, rearranged
from relbench_harness.protocol.method import Examples, Labels, Ragged

COLUMN = "planted"
DELAYS = (0, 3600 * 10**9, 5 * 86_400 * 10**9)
"""How long after the last cut-off each example's rows lie, in nanoseconds: at the very instant, an hour and five days later."""


def hosts(examples: Examples) -> Iterator[Table]:
    """Tables with a time whose rows can be about an example: they refer to its entity, or it is one of them."""
    task = examples.task
    for table in examples.database.values():
        refers = task.entity_table in table.references.values()
        if table.time is not None and len(table) and (refers or (task.own_row_visible and table.name == task.entity_table)):
            yield table


def numbers(labels: Labels) -> NDArray[np.float64]:
    """A number for each label: of several classes the first, of a list its first item."""
    if isinstance(labels, Ragged):
        first = np.minimum(labels.offsets[:-1], max(len(labels.values) - 1, 0))
        return np.where(np.diff(labels.offsets) > 0, np.append(labels.values, -1)[first], -1).astype(np.float64)
    return np.asarray(labels if labels.ndim == 1 else labels[:, 0], dtype=np.float64)


@dataclass(frozen=True)
class Planting:
    """What is planted: a label for each of some examples.

    Attributes:
        examples: Examples that share a database.
        labels: (n,) numbers, those of the examples or of each other.
        noise: (n,) the same numbers in any order, from which visible rows draw.
    """

    examples: Examples
    labels: NDArray[np.float64]
    noise: NDArray[np.float64]
    seed: int = 7

    @property
    def instant(self) -> int:
        return int(self.examples.cutoff.max())

    def planted(self) -> Rearranged:
        database = self.examples.database
        chosen = {table.name: self._widened(table) for table in hosts(self.examples)}
        whole = Database(chosen.get(name, table) for name, table in database.items())
        return rearranged(whole, {name: self._draft(table) for name, table in chosen.items()})

    def _widened(self, table: Table) -> Table:
        """The table with the column: noise in every row, but for later rows about an example."""
        random = np.random.default_rng([self.seed, len(table)])
        values = random.choice(self.noise, len(table))
        later = int(table.visible(self.instant)[0])
        entities = self.examples.database[self.examples.task.entity_table]
        known = np.full(len(entities), np.nan)
        known[self.examples.entity] = self.labels
        for column in self._about(table):
            named = table.parents(column)[later:]
            label = np.where(named >= 0, known[np.maximum(named, 0)], np.nan)
            values[later:] = np.where(np.isnan(label), values[later:], label)
        name = free(COLUMN, table.rows.column_names)
        return replace(table, rows=table.rows.append_column(name, pa.array(values)))

    def _about(self, table: Table) -> list[str]:
        """Foreign keys that name the entity of an example."""
        return [c for c, parent in table.references.items() if parent == self.examples.task.entity_table]

    def _draft(self, table: Table) -> Draft:
        """The widened table with rows for each example at each of `DELAYS`."""
        task, count = self.examples.task, len(self.examples) * len(DELAYS)
        assert table.times is not None and table.time is not None
        entity, labels = np.tile(self.examples.entity, len(DELAYS)), np.tile(self.labels, len(DELAYS))
        random = np.random.default_rng([self.seed, len(table), 1])
        twins = task.own_row_visible and table.name == task.entity_table
        source = np.concatenate([np.arange(len(table)), entity if twins else random.integers(0, len(table), count)])
        is_new = np.arange(len(source)) >= len(table)
        times = np.append(table.times, self.instant + np.repeat(DELAYS, len(self.examples)))
        order = np.argsort(times, kind="stable")
        column = table.rows.column_names[-1]
        values = np.append(table.rows.column(column).to_numpy(), labels)
        parents: dict[str, Rows] = {}
        for name, parent in table.references.items():
            new = table.parents(name)[source[len(table) :]]
            if not twins and parent == task.entity_table:
                new = entity
            elif not twins and parent == task.item_table:
                new = labels.astype(np.int64)
            parents[name] = np.append(table.parents(name), new)[order]
        columns = {table.time: pa.array(times[order]).cast(pa.timestamp("ns")), column: pa.array(values[order])}
        return Draft(source[order], is_new[order], columns, parents)
