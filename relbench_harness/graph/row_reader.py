"""Reads what the rows of a batch hold: their attributes, those of their ancestors, and what as-of joins find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from relbench_harness.graph.ancestors import AncestorIndex, Found, schedule
from relbench_harness.graph.attributes import Attributes
from relbench_harness.graph.parent_residuals import BoundResiduals
from relbench_harness.graph.row_batch import RowBatch, Rows
from relbench_harness.temporal.as_of import AsOfIndex, AsOfKey, AsOfRows


@dataclass(frozen=True)
class RowReader:
    """Reads rows of one database.

    Attributes:
        as_of: As-of keys of the database; only wanted rows look for what they find.
        residuals: Of every row of the database.
        depth: How many keys up a row is read with its ancestors.
    """

    attributes: Attributes
    ancestors: AncestorIndex
    as_of: Sequence[AsOfIndex]
    residuals: BoundResiduals
    depth: int

    def row_numbers(self, wanted: Mapping[str, Rows]) -> dict[str, Rows]:
        """Table → (rows,) the numbers of the rows that `read` reads, in their order."""
        joins = self._joins(wanted)
        as_of = {key.name: Found(key.right.child, found.row) for key, found in joins.items()}
        return self.ancestors.expand(wanted, self.depth, as_of).rows

    def _joins(self, wanted: Mapping[str, Rows]) -> dict[AsOfKey, AsOfRows]:
        """What the wanted rows find, of the keys by which some of them find something."""
        joins = {
            index.key: index.find(wanted[index.key.left.child]) for index in self.as_of if index.key.left.child in wanted
        }
        return {key: found for key, found in joins.items() if (found.row >= 0).any()}

    def read(self, wanted: Mapping[str, Rows]) -> RowBatch:
        """The rows `wanted` (distinct, by table), followed by their ancestors.

        The features of an as-of link are 1, a logarithm of the days from what is found to the row, and exp(−days).
        """
        joins = self._joins(wanted)
        as_of = {key.name: Found(key.right.child, found.row) for key, found in joins.items()}
        ancestry = self.ancestors.expand(wanted, self.depth, as_of)
        links = ancestry.links()
        features = {}
        for key, found in joins.items():
            days = found.days[links[key.name].child.numpy()]
            gap = np.stack([np.ones(len(days)), np.log1p(days) / 5, np.exp(-days)], axis=1)
            features[key.name] = torch.from_numpy(gap.astype(np.float32))
        for name in self.residuals.values.keys() & links.keys():
            child = ancestry.rows[name[0]][links[name].child.numpy()]
            features[name] = torch.from_numpy(self.residuals.read(name, child))
        found_in = {**self.ancestors.parent, **{index.key.name: index.key.right.child for index in self.as_of}}
        leaves, layers = schedule(ancestry.rows_per_depth, links, found_in, as_of)
        records = {name: self.attributes.take(name, rows) for name, rows in ancestry.rows.items()}
        return RowBatch(records, links, features, leaves, layers)
