"""Gradient × input of one example at a time: what every row, column and statistic that the network reads adds to its answer.

The inputs of a table's encoder go through one linear map, so the gradient of its result tells all of them at once. Amounts are a
first-order guess around zero input and need not add up to the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relbench_harness.features.entity_summary import origins
from relbench_harness.features.input_amounts import InputAmounts, RowAmounts
from relbench_harness.features.origin import Origin
from relbench_harness.protocol.method import Examples

from .batch import Batch
from .batch_builder import BatchBuilder
from .batch_routes import batch_routes
from .predictor import RelationalPredictor
from .preprocessor import Preprocessor
from .row_encoder import TableEncoder

Amounts = dict[str, dict[str, NDArray[np.float64]]]
"""Table → column → (rows of the batch,)."""


@dataclass(frozen=True)
class AmountReader:
    """Reads amounts of examples about the database of `builder`."""

    preprocessor: Preprocessor
    builder: BatchBuilder
    network: RelationalPredictor

    def read(self, examples: Examples) -> Iterator[InputAmounts]:
        """The amounts of each example, for the greatest of its outputs."""
        self.network.eval()
        behind = self._origins(examples)
        for position in range(len(examples)):
            one = examples.take(np.asarray([position]))
            around = self.builder.sampler.sample(self.builder.table, one.entity, one.cutoff, 0)
            wanted = {name: nodes.distinct[0] for name, nodes in around.nodes.items() if len(nodes)}
            yield self._amounts(_differentiable(self.builder.batch(one)), self.builder.rows.row_numbers(wanted), behind)

    def _amounts(self, batch: Batch, numbers: Mapping[str, NDArray[Any]], behind: tuple[Origin, ...]) -> InputAmounts:
        with torch.enable_grad(), self._states() as states:
            margin = self.network(batch)[0].max()
            margin.backward()
        self.network.zero_grad(set_to_none=True)
        found: Amounts = {
            table: column_amounts(self.network.encoder.table(table), packed, states.get(table))
            for table, packed in batch.rows.records.items()
        }
        self._add_ages(batch, found)
        self._add_links(batch, found)
        routes = batch_routes(batch, self.preprocessor.as_of, self.preprocessor.schema.parents)
        tables = {}
        for table, columns in found.items():
            rows = np.asarray(numbers[table], np.int64)
            values = np.stack([*columns.values()], axis=1) if columns else np.zeros((len(rows), 0))
            tables[table] = RowAmounts(rows, tuple(routes[table]), tuple(columns), values)
        summary = _product(batch.summary)
        statistics = (
            tuple((origin, float(value)) for origin, value in zip(behind, summary.ravel(), strict=True)) if behind else ()
        )
        return InputAmounts(float(margin.detach()), tables, statistics)

    def _origins(self, examples: Examples) -> tuple[Origin, ...]:
        """What each statistic rests on; nothing where they are left out."""
        plan, residuals = self.preprocessor.plan, self.preprocessor.residuals
        if plan is None:
            return ()
        further = {name: residuals.columns_of(name) for name in examples.database}
        return origins(plan, examples.database, examples.task.entity_table, further)

    @contextmanager
    def _states(self) -> Iterator[dict[str, Tensor]]:
        """Table → what the linear map of its encoder gives, with its gradient; filled while the context is open."""
        found: dict[str, Tensor] = {}
        hooks = []
        for table in self.preprocessor.schema.layouts:

            def keep(_: Any, inputs: tuple[Tensor, ...], table: str = table) -> None:
                inputs[0].retain_grad()
                found[table] = inputs[0]

            hooks.append(self.network.encoder.table(table).norm.register_forward_pre_hook(keep))
        try:
            yield found
        finally:
            for hook in hooks:
                hook.remove()

    def _add_ages(self, batch: Batch, found: Amounts) -> None:
        """Ages count for the table's time."""
        for table, age in batch.age.items():
            time = self.builder.database[table].time
            assert time is not None
            _add(found[table], time, batch.row[table].numpy(), _product(age).sum(axis=1), len(batch.rows.records[table]))

    def _add_links(self, batch: Batch, found: Amounts) -> None:
        """Residuals count for the row's column, the gaps of as-of links for its time."""
        columns = {
            (key.child, key.column): [n.own.name for n in lines] for key, lines in self.preprocessor.residuals.lines.items()
        }
        for key, features in batch.rows.link_features.items():
            table = key[0]
            child, values = batch.rows.links[key].child.numpy(), _product(features)
            names = columns.get(key, [self.builder.database[table].time or ""] * values.shape[1])
            for name, amount in zip(names, values.T, strict=True):
                _add(found[table], name, child, amount, len(batch.rows.records[table]))


def column_amounts(encoder: TableEncoder, packed: Tensor, state: Tensor | None) -> dict[str, NDArray[np.float64]]:
    """Column → (rows,) gradient × input of what `encoder` reads of (rows, words) `packed`.

    Args:
        state: (rows, channels) what its linear map gave, with a gradient; None or without one where nothing depends on it.
    """
    layout, found = encoder.layout, dict[str, NDArray[np.float64]]()
    if state is None or state.grad is None:
        return {e.column: np.zeros(len(packed)) for e in layout.encoders if e.part != "moments"}
    row, gradient = layout.unpack(packed), state.grad
    if encoder.numbers is not None:
        count = len(layout.names("numbers"))
        inputs = torch.cat([row.numbers.nan_to_num(0.0), row.numbers.isnan().logical_not().float(), row.vectors.float()], 1)
        values = ((gradient @ encoder.numbers.weight) * inputs).detach().double().numpy()
        numbers = [e.column for e in layout.part("numbers") for _ in e.names]
        for column, amount in zip([*numbers, *numbers], values[:, : 2 * count].T, strict=True):
            found[column] = found.get(column, 0.0) + amount
        vectors = [e.column for e in layout.part("vectors") for _ in e.names]
        for column, amount in zip(vectors, values[:, 2 * count :].T, strict=True):
            found[column] = found.get(column, 0.0) + amount
    if encoder.codes is not None:
        sets = torch.where(row.sets == 0, -1 - encoder.first[row.codes.shape[1] :], row.sets)
        codes = (torch.cat([row.codes, sets], dim=1) + encoder.first).clamp(min=0)
        embedded = encoder.codes.weight[codes.long()] * (codes > 0)[:, :, None]
        values = torch.einsum("rkc,rc->rk", embedded, gradient).detach().double().numpy()
        names = [e.column for part in ("codes", "sets") for e in layout.part(part) for _ in e.names]
        for column, amount in zip(names, values.T, strict=True):
            found[column] = found.get(column, 0.0) + amount
    return found


def _differentiable(batch: Batch) -> Batch:
    """The batch with gradients of its ages, link features and summary."""
    features = {key: value.clone().requires_grad_() for key, value in batch.rows.link_features.items()}
    return replace(
        batch,
        rows=replace(batch.rows, link_features=features),
        age={table: value.clone().requires_grad_() for table, value in batch.age.items()},
        summary=batch.summary.clone().requires_grad_(),
    )


def _product(value: Tensor) -> NDArray[np.float64]:
    """Gradient × input, 0 without a gradient."""
    found = torch.zeros_like(value) if value.grad is None else value.detach() * value.grad
    return found.double().numpy()


def _add(
    columns: dict[str, NDArray[np.float64]], name: str, at: NDArray[Any], values: NDArray[np.float64], count: int
) -> None:
    total = columns.get(name, np.zeros(count)).copy()
    np.add.at(total, at, values)
    columns[name] = total
