"""Makes batches of examples about one database: sampled rows, their attributes, and statistics of each entity's history."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from relbench_harness.data.database import Database
from relbench_harness.features.entity_summary import Standardisation, SummaryReader
from relbench_harness.graph.neighbourhood import Neighbourhood
from relbench_harness.graph.row_batch import EdgeBatch
from relbench_harness.graph.row_reader import RowReader
from relbench_harness.graph.sampler import Sampler
from relbench_harness.protocol.method import Examples

from .batch import Batch
from .temporal_encoder import DAY, age_features


@dataclass(frozen=True)
class HistoryReader:
    """Statistics of examples' histories.

    Attributes:
        summary: None where the summary is left out.
    """

    summary: SummaryReader | None
    standardisation: Standardisation | None

    def summary_of(self, examples: Examples) -> Tensor:
        """(examples, columns) float32 standardised statistics; no columns where the summary is left out."""
        if self.summary is None or self.standardisation is None:
            return torch.zeros(len(examples), 0)
        return torch.from_numpy(self.standardisation.apply(self.summary.raw(examples)))


@dataclass(frozen=True)
class BatchBuilder:
    """Everything a batch is read from.

    Attributes:
        database: What the examples are about.
        span: Nanoseconds that training covers, the largest scale of ages.
    """

    database: Database
    table: str
    sampler: Sampler
    rows: RowReader
    history: HistoryReader
    span: float

    def batch(self, examples: Examples, seed: int = 0) -> Batch:
        """The batch of `examples`, which are about this database."""
        around = self.sampler.sample(self.table, examples.entity, examples.cutoff, seed)
        distinct = {name: n.distinct for name, n in around.nodes.items() if len(n)}
        return Batch(
            table=around.table,
            rows=self.rows.read({name: rows for name, (rows, _) in distinct.items()}),
            row={name: torch.from_numpy(place) for name, (_, place) in distinct.items()},
            age=self._ages(around),
            parents_masked={name: torch.from_numpy(rows)[:, None] for name, rows in around.not_older().items()},
            edges=[
                EdgeBatch(e.step, e.hop, e.first, torch.from_numpy(e.ends), torch.from_numpy(e.target.astype(np.int64)))
                for e in around.edges
            ],
            entity_node=torch.from_numpy(around.seeds.astype(np.int64)),
            summary=self.history.summary_of(examples),
            labels=_labels(examples),
        )

    def _ages(self, around: Neighbourhood) -> dict[str, Tensor]:
        ages = {name: around.age(name) for name, nodes in around.nodes.items() if len(nodes)}
        return {
            name: torch.from_numpy(age_features(days, self.span / DAY)) for name, days in ages.items() if days is not None
        }


def _labels(examples: Examples) -> Tensor | None:
    labels = examples.labels
    if not isinstance(labels, np.ndarray):
        return None
    return torch.from_numpy(labels.astype(np.float32 if labels.dtype == np.float64 else np.int64))
