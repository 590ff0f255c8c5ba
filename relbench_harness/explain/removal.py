"""Row-level attribution for any method: rows are really removed from what an example sees, and the answer is looked at again.

First one row at a time, then Shapley values of the rows that moved it most, sampled over orders of removal. Invariant: a row's
amount is a mean of differences between answers of the predictor itself, with the row and without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relbench_harness.explain.candidates import FirstPass, Row, by_table, candidates
from relbench_harness.explain.copies import Removed
from relbench_harness.explain.explanation import AGES, Amount, Explanation, Part, age_bands
from relbench_harness.explain.outputs import check_values, same_again
from relbench_harness.explain.surroundings import Surroundings, rows_of_age
from relbench_harness.explain.variants import Subject
from relbench_harness.protocol.method import Examples, Predictor

Case = tuple[int, Removed]


@dataclass(frozen=True)
class Removal:
    """Leaves rows out, one at a time and in sampled orders.

    Attributes:
        rows: Of how many rows of each example the removal is tried; where there are more, a first pass chooses.
        top: Of so many rows that moved the answer most Shapley values are sampled; 0 samples none.
        orders: How many orders are sampled, half of them the reverse of the others.
        groups: Whether the rows of each path, table, hop and band of ages are removed together as well.
    """

    rows: int = 24
    top: int = 6
    orders: int = 4
    groups: bool = True
    ages: tuple[float, ...] = AGES
    seed: int = 0
    name: str = "removal"

    def explain(self, predictor: Predictor, examples: Examples) -> tuple[Explanation, ...]:
        """One explanation of each example, in units of the prediction.

        A row's amount is its Shapley value where that was sampled (`notes["sampled"]` says of how many), with an interval of the
        sampling, else the difference that its removal makes.
        """
        check_values(examples)
        inner = same_again(predictor)
        return self.of_subject(Subject.of(inner, examples), FirstPass.of(inner, examples))

    def of_subject(self, subject: Subject, first: FirstPass) -> tuple[Explanation, ...]:
        """The same where surroundings and first pass are known already."""
        chosen = [candidates(around, self.rows, first.rows[i], first.paths[i]) for i, around in enumerate(subject.around)]
        single = self._single(subject, chosen)
        tops = [_moved_most(values, self.top) for values in single]
        shapley = self._shapley(subject, tops)
        groups = self._groups(subject) if self.groups else [() for _ in chosen]
        notes = {"first pass": first.name, "sampled": self.top, "orders": self.orders}
        return tuple(
            Explanation(
                "rows",
                self.name,
                "prediction",
                (*_row_amounts(subject, i, single[i], shapley[i]), *groups[i]),
                example=i,
                prediction=float(subject.plain[i]),
                notes={**notes, "rows around": len(subject.around[i]), "copied": bool(subject.exact[i])},
            )
            for i in range(len(subject.examples))
        )

    @staticmethod
    def _single(subject: Subject, chosen: Sequence[Sequence[Row]]) -> list[dict[Row, float]]:
        """Per example, row → answer with it minus answer without it."""
        cases = [(i, {table: np.asarray([row])}) for i, rows in enumerate(chosen) for table, row in rows]
        answers = iter(subject.without(cases))
        return [{row: float(subject.plain[i] - next(answers)) for row in rows} for i, rows in enumerate(chosen)]

    def _shapley(self, subject: Subject, tops: Sequence[Sequence[Row]]) -> list[dict[Row, tuple[float, float]]]:
        """Per example, row → Shapley value and its standard error, over orders in which the rows are removed."""
        plans = [self._orders(i, len(rows)) for i, rows in enumerate(tops)]
        wanted: dict[tuple[int, frozenset[int]], None] = {}
        for i, orders in enumerate(plans):
            for order in orders:
                wanted |= {(i, frozenset(order[:k].tolist())): None for k in range(1, len(order) + 1)}
        answers = dict(
            zip(
                wanted,
                subject.without([(i, by_table([tops[i][place] for place in gone])) for i, gone in wanted]),
                strict=True,
            )
        )
        found: list[dict[Row, tuple[float, float]]] = []
        for i, (rows, orders) in enumerate(zip(tops, plans, strict=True)):
            if not rows:
                found.append({})
                continue
            each = np.zeros((len(orders), len(rows)))
            for o, order in enumerate(orders):
                before = float(subject.plain[i])
                for k, row in enumerate(order):
                    after = float(answers[i, frozenset(order[: k + 1].tolist())])
                    each[o, row], before = before - after, after
            found.append(dict(zip(rows, zip(each.mean(axis=0).tolist(), _errors(each), strict=True), strict=True)))
        return found

    def _orders(self, example: int, count: int) -> list[NDArray[np.int64]]:
        """Orders of `count` rows, each followed by its reverse."""
        if not count:
            return []
        rng = np.random.default_rng([self.seed, example, 11])
        half = [rng.permutation(count) for _ in range(max(self.orders // 2, 1))]
        return [one for order in half for one in (order, order[::-1])]

    def _groups(self, subject: Subject) -> list[tuple[Amount, ...]]:
        """Per example, what the removal of all rows of a table, of a path, and of a band of ages makes."""
        parts = [grouped(subject.examples, i, around, self.ages) for i, around in enumerate(subject.around)]
        cases = [(i, rows) for i, some in enumerate(parts) for rows in some.values()]
        answers = iter(subject.without(cases))
        return [
            tuple(Amount(part, float(subject.plain[i] - next(answers))) for part in some) for i, some in enumerate(parts)
        ]


def grouped(examples: Examples, position: int, around: Surroundings, ages: Sequence[float]) -> Mapping[Part, Removed]:
    """Part → its rows, for each table but the entity's, each path, hop and band of ages of the rows around an example."""
    found: dict[Part, dict[str, NDArray[np.int64]]] = {}
    own = around.blocks[0].table
    for block in around.blocks[1:]:
        parts = [
            Part("path", table=block.table, path=block.route.name, hop=block.route.hops),
            Part("hop", hop=block.route.hops),
        ]
        if block.table != own:
            parts.append(Part("table", table=block.table))
        for part in parts:
            rows = found.setdefault(part, {})
            rows[block.table] = np.union1d(rows.get(block.table, block.rows[:0]), block.rows)
    for band in age_bands(ages):
        if gone := rows_of_age(examples, position, around, band):
            found[Part("age", age=band)] = gone
    return found


def _moved_most(values: Mapping[Row, float], most: int) -> list[Row]:
    ranked = sorted((row for row, value in values.items() if value), key=lambda row: -abs(values[row]))
    return ranked[:most]


def _errors(each: NDArray[np.float64]) -> list[float]:
    """Standard errors over pairs of an order and its reverse; NaN for one pair."""
    pairs = each.reshape(-1, 2, each.shape[1]).mean(axis=1)
    if len(pairs) < 2:
        return [float("nan")] * each.shape[1]
    return [float(e) for e in pairs.std(axis=0, ddof=1) / np.sqrt(len(pairs))]


def _row_amounts(
    subject: Subject, i: int, single: Mapping[Row, float], shapley: Mapping[Row, tuple[float, float]]
) -> list[Amount]:
    found = []
    for row, alone in single.items():
        value, error = shapley.get(row, (alone, 0.0))
        part = row_part(subject.examples, subject.around[i], row)
        found.append(Amount(part, value, value - 1.96 * error, value + 1.96 * error, abs(alone)))
    return found


def row_part(examples: Examples, around: Surroundings, row: Row) -> Part:
    """A row with its time and its way to the entity."""
    table, number = row
    block = around.block_of(table, number)
    times = examples.database[table].times
    time = None if times is None else int(times[number])
    way = around.via(table, number)
    return Part("row", table=table, path=block.route.name, hop=block.route.hops, row=number, time=time, via=way)
