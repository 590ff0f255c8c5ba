"""Changes everything of a database from an instant on: values, times, references, rows that come and rows that go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.protocol.audit.later_rows import shifted
from relbench_harness.protocol.audit.trial import same as same
from relbench_harness.protocol.method import Examples, Predictor

Rows = Mapping[str, Sequence[int]]


def later_rows_that_matter(predictor: Predictor, examples: Examples) -> list[int]:
    """Instants from which changing the database changes an answer to an example cut off no later: none, if all is well."""
    expected = np.asarray(predictor.predict(examples))
    found = []
    for t, chosen in _cuts(examples):
        own = own_rows(
            examples.database, examples.task.entity_table, examples.entity[chosen], examples.task.own_row_visible
        )
        other = replace(examples, database=scrambled(examples.database, t, own, seed=t % 1000)).take(chosen)
        if not same(expected[chosen], np.asarray(predictor.predict(other))):
            found.append(t)
    return found


def _cuts(examples: Examples) -> list[tuple[int, NDArray[np.int64]]]:
    """Instants, each with examples cut off no later; an example that is a row stands alone, lest others be shown with it."""
    if examples.task.own_row_visible:
        picked = np.unique(np.linspace(0, len(examples) - 1, 4).astype(np.int64))
        return [(int(examples.cutoff[i]), np.asarray([i])) for i in picked]
    instants = np.unique(examples.cutoff)
    return [(int(t), np.flatnonzero(examples.cutoff <= t)) for t in instants[np.unique([0, len(instants) // 2, -1])]]


def scrambled(database: Database, t: int, own: Rows = MappingProxyType({}), seed: int = 0) -> Database:
    """`database` with every row at or after `t` (nanoseconds) changed, save the rows `own` that belong to an example.

    Tables without own rows at or after `t` lose some of those rows and gain others; in tables with own rows the others
    change where they stand, so that own rows keep their numbers.
    """
    rng = np.random.default_rng(seed)
    kept = {name: sorted(set(own.get(name, ()))) for name in database}
    changed = {name: _rows(table, t, kept[name], rng) for name, table in database.items()}
    sizes = {name: changed[name].num_rows for name in database}
    return Database(_referring(table, changed[table.name], t, kept[table.name], sizes, rng) for table in database.values())


def own_rows(database: Database, table: str, entity: NDArray[np.int64], parents_too: bool) -> Rows:
    """The rows that belong to examples about `entity`: those rows and, if wanted, the parents that they name."""
    own: dict[str, list[int]] = {table: entity.tolist()}
    if parents_too:
        for column, parent in database[table].references.items():
            named = database[table].parents(column)[entity]
            own.setdefault(parent, []).extend(named[named >= 0].tolist())
    return own


def _rows(table: Table, t: int, own: Sequence[int], rng: np.random.Generator) -> pa.Table:
    """The table's rows with other values from `t` on, in order of time; references are mended later."""
    if table.times is None:
        return table.rows
    first = int(table.visible(t)[0])
    later = np.arange(first, len(table))
    if not len(later):
        return table.rows
    if any(row >= first for row in own):
        values = table.rows
        mine = pa.array(np.isin(np.arange(len(table)), own) | (np.arange(len(table)) < first))
        for column in table.attributes:
            other = values.column(column).take(_others(len(table), first, rng))
            values = _with(values, column, pc.if_else(mine, values.column(column), shifted(other)))
        return values
    chosen = np.sort(rng.choice(later, size=max(1, len(later) * 2 // 3)))
    late = table.rows.take(pa.array(chosen))
    for column in table.attributes:
        late = _with(late, column, shifted(late.column(column).take(pa.array(rng.permutation(len(late))))))
    assert table.time is not None
    last = max(int(table.times[-1]), t) + 10 * 86_400 * 10**9
    times = np.sort(rng.integers(t, last, len(late)))
    times[0] = t
    late = _with(late, table.time, pa.array(times).cast(pa.timestamp("ns")))
    whole = pa.concat_tables([table.rows.slice(0, first), late])
    return whole if table.key is None else _with(whole, table.key, pa.array(np.arange(whole.num_rows)))


def _others(count: int, first: int, rng: np.random.Generator) -> pa.Array:
    order = np.arange(count)
    order[first:] = rng.permutation(order[first:])
    return pa.array(order)


def _referring(
    table: Table, rows: pa.Table, t: int, own: Sequence[int], sizes: Mapping[str, int], rng: np.random.Generator
) -> Table:
    """The table with `rows`, whose references point into tables of the new `sizes`, those from `t` on to anyone."""
    first = int(table.visible(t)[0])
    for column, parent in table.references.items():
        named = np.asarray(pc.fill_null(rows.column(column), -1).to_numpy(), dtype=np.int64).copy()
        free = np.arange(len(named)) >= (first if table.times is not None else len(named))
        free[[row for row in own if row < len(free)]] = False
        named[free] = rng.integers(-1, sizes[parent], int(free.sum()))
        named[named >= sizes[parent]] = -1
        rows = _with(rows, column, pa.array(named, mask=named < 0))
    return replace(table, rows=rows, origin=None)


def _with(rows: pa.Table, column: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    return rows.set_column(rows.column_names.index(column), column, values)
