"""Orders of rows to take away, and what answers become: what curves and fidelities of an explanation are computed from.

An explanation is held against two orders that know nothing of the predictor: at random, and the most recent rows first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relbench_harness.explain.candidates import Row, by_table
from relbench_harness.explain.copies import Removed
from relbench_harness.explain.explanation import Explanation
from relbench_harness.explain.surroundings import Surroundings
from relbench_harness.explain.variants import Subject
from relbench_harness.temporal.visibility import times_of

COUNTS = (1, 2, 4, 8, 16)
"""After how many rows answers are looked at."""
Order = Sequence[Row]


def of_explanation(explanation: Explanation) -> list[Row]:
    """The rows of an explanation, those with the greatest amounts first."""
    rows = [(a.part.table, a.part.row) for a in explanation.of("row")]
    return [(table, row) for table, row in rows if table is not None and row is not None]


def rows_around(around: Surroundings) -> list[Row]:
    """Every row but the entity's own, nearest first."""
    return [(block.table, int(row)) for block in around.blocks[1:] for row in block.rows]


def at_random(around: Surroundings, seed: int) -> list[Row]:
    rows = rows_around(around)
    return [rows[i] for i in np.random.default_rng([seed, 29]).permutation(len(rows))]


def most_recent(subject: Subject, position: int, own: bool = False) -> list[Row]:
    """Rows by time, the latest first; rows without a time last.

    Args:
        own: Only rows that lead down from the entity: its children, theirs, and so on.
    """
    database = subject.examples.database
    dated = []
    for block in subject.around[position].blocks[1:]:
        if own and any(leg.up for leg in block.route.legs):
            continue
        times = times_of(database[block.table])[block.rows]
        dated += [(-int(t), n, (block.table, int(row))) for n, (t, row) in enumerate(zip(times, block.rows, strict=True))]
    return [row for _, _, row in sorted(dated)]


def with_ways(around: Surroundings, rows: Order) -> list[Row]:
    """Rows, and those between them and the entity: without these nothing leads to a row."""
    return list(dict.fromkeys(one for table, row in rows for one in ((table, row), *around.via(table, row))))


@dataclass(frozen=True)
class Trials:
    """Answers with rows of an order deleted, and with nothing but them and the rows on their way to the entity.

    Attributes:
        counts: (k,) how many of the first rows.
        deleted, kept: (n, k, …) answers.
    """

    counts: tuple[int, ...]
    deleted: NDArray[np.generic]
    kept: NDArray[np.generic]


def tried(subject: Subject, orders: Sequence[Order], counts: Sequence[int] = COUNTS) -> Trials:
    """What becomes of the answers: `orders` has one order of rows for each example."""
    cases: list[tuple[int, Removed]] = []
    for i, order in enumerate(orders):
        everything = dict(subject.around[i].rows)
        own = subject.around[i].blocks[0]
        everything[own.table] = np.setdiff1d(everything[own.table], own.rows)
        for count in counts:
            chosen = by_table(order[:count])
            cases.append((i, chosen))
            kept = by_table(with_ways(subject.around[i], order[:count]))
            cases.append((i, {t: np.setdiff1d(rows, kept.get(t, rows[:0])) for t, rows in everything.items()}))
    found = subject.answers(cases)
    shaped = found.reshape(len(orders), len(counts), 2, *found.shape[1:])
    return Trials(tuple(counts), shaped[:, :, 0], shaped[:, :, 1])
