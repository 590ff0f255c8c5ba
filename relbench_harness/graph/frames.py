"""Attributes as pytorch-frame's `TensorFrame` and column statistics, for models made of its encoders.

Invariant: what a frame holds is what `Attributes` holds, column by column; statistics are of rows visible at the end of
training alone. A category's code is one less than ours, so that −1 is null and 0 a value that fitting did not see. Instants
are numbers: their place in the cycles of the calendar, and days since the end of training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from relbench_harness.errors import InputError
from relbench_harness.graph.attributes import Attributes
from relbench_harness.graph.code_encoders import MISSING, Categories, Category
from relbench_harness.graph.encoder import Encoder
from relbench_harness.graph.structure import Graph

try:
    from torch_frame import TensorFrame, stype
    from torch_frame.data import MultiEmbeddingTensor, MultiNestedTensor
    from torch_frame.data.stats import StatType
except ImportError:
    raise InputError("frames need the package pytorch-frame; install it with: pip install pytorch-frame") from None

Statistics = Mapping[str, Mapping[Any, Any]]
"""Column → kind of statistic → its value, as pytorch-frame's encoders read them."""
CONSTANT = "__const__"
"""The column of a table without attributes (RelBench's name)."""


@dataclass(frozen=True)
class Frames:
    """Tensor frames of any rows of a graph's tables."""

    graph: Graph
    attributes: Attributes

    def rows(self, table: str, rows: NDArray[np.int64]) -> TensorFrame:
        """The frame of `rows`, which may be none."""
        features, names = {}, {}
        for kind, values, columns in self._parts(table, rows):
            features[kind], names[kind] = values, columns
        return TensorFrame(features, names)

    def table(self, table: str) -> TensorFrame:
        """The frame of a whole table."""
        return self.rows(table, np.arange(self.graph.size(table)))

    @cached_property
    def col_names(self) -> Mapping[str, Mapping[Any, list[str]]]:
        """Table → semantic type → the names of its columns."""
        none = np.empty(0, np.int64)
        return MappingProxyType({name: self.rows(name, none).col_names_dict for name in self.graph.sizes})

    @cached_property
    def col_stats(self) -> Mapping[str, Statistics]:
        """Table → statistics of its columns over the rows visible at the end of training."""
        return MappingProxyType({name: self._statistics(name) for name in self.graph.sizes})

    # -- one table ----------------------------------------------------------------------------------------------------

    def _parts(self, table: str, rows: NDArray[np.int64]) -> Iterator[tuple[Any, Any, list[str]]]:
        """(semantic type, values, names of columns) of every kind that the table has."""
        layout, parts = self.attributes.layout(table), self.attributes.rows(table, rows)
        numbers = [*layout.names("numbers"), *(f"{name}.days" for name in layout.names("moments"))]
        if numbers:
            yield stype.numerical, torch.cat([parts.numbers, parts.moments], dim=1), numbers
        elif not layout.encoders:
            yield stype.numerical, torch.ones(len(rows), 1), [CONSTANT]
        if layout.part("codes"):
            yield stype.categorical, parts.codes.long() - 1, _others(layout.names("codes"), numbers)
        sets = cast(tuple[Categories, ...], layout.part("sets"))
        if sets:
            yield stype.multicategorical, _nested(parts.sets, [e.width for e in sets]), [e.column for e in sets]
        vectors = layout.part("vectors")
        if vectors:
            ends = torch.tensor([0, *np.cumsum([len(e.names) for e in vectors])])
            values = MultiEmbeddingTensor(len(rows), len(vectors), parts.vectors.float(), ends)
            yield stype.embedding, values, [e.column for e in vectors]

    def _statistics(self, table: str) -> Statistics:
        end = self.attributes.encoders.fit_end
        known = np.arange(int(self.graph.visible(table, np.array([end]))[0]))
        layout = self.attributes.layout(table)
        found: dict[str, Mapping[Any, Any]] = {}
        for kind, values, names in self._parts(table, known):
            if kind is stype.numerical:
                found |= {name: _of_numbers(values[:, i].numpy()) for i, name in enumerate(names)}
            elif kind is stype.categorical:
                found |= {
                    name: {StatType.COUNT: _counts(encoder, values[:, i].numpy())}
                    for i, (name, encoder) in enumerate(zip(names, layout.part("codes"), strict=True))
                }
            elif kind is stype.multicategorical:
                found |= {
                    name: {StatType.MULTI_COUNT: _counts(encoder, values[:, i].values.numpy())}
                    for i, (name, encoder) in enumerate(zip(names, layout.part("sets"), strict=True))
                }
            else:
                widths = [len(encoder.names) for encoder in layout.part("vectors")]
                found |= {name: {StatType.EMB_DIM: width} for name, width in zip(names, widths, strict=True)}
        return found


def _others(names: tuple[str, ...], taken: list[str]) -> list[str]:
    """`names`, those in `taken` marked: an integer of few values is a number and a category."""
    return [f"{name}.category" if name in taken else name for name in names]


def _nested(codes: torch.Tensor, widths: list[int]) -> MultiNestedTensor:
    """Lists of codes less one from padded ones: (n, total width of the columns), 0 where there is nothing."""
    columns = torch.split(codes, widths, dim=1)
    lengths = torch.stack([(column != MISSING).sum(dim=1) for column in columns], dim=1)
    ends = torch.cat([torch.zeros(1, dtype=torch.long), lengths.flatten().cumsum(0)])
    # row after row, in each row column after column: the order in which the padded codes lie
    return MultiNestedTensor(len(codes), len(widths), codes[codes != MISSING].long() - 1, ends)


def _of_numbers(values: NDArray[np.float32]) -> Mapping[Any, Any]:
    finite = values[np.isfinite(values)].astype(np.float64)
    if len(finite) == 0:
        finite = np.zeros(1)
    return {
        StatType.MEAN: float(finite.mean()),
        StatType.STD: float(finite.std()) or 1.0,
        StatType.QUANTILES: [float(q) for q in np.quantile(finite, [0, 0.25, 0.5, 0.75, 1])],
    }


def _counts(encoder: Encoder, codes: NDArray[np.int64]) -> tuple[list[str], list[int]]:
    """The values of a category, the unseen first, and how often each occurs."""
    assert isinstance(encoder, Category | Categories)
    counts = np.bincount(codes[codes >= 0], minlength=encoder.cardinality - 1)
    return ["(unseen)", *map(str, encoder.values.to_pylist())], counts.tolist()
