"""What a predictor answers when rows are left out: the one way in which row-level algorithms ask it.

For each example the smallest surroundings are found whose copy gets the answer that the whole database gives; from then on copies
stand for the database. Invariant: where no surroundings do, rows are removed from the whole database itself, one variant after
another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.explain.changes import without_rows
from relbench_harness.explain.copies import Copier, Removed, Variant
from relbench_harness.explain.outputs import Floats, Output, answers
from relbench_harness.explain.surroundings import REACHES, Surroundings, Surveyor
from relbench_harness.features.copied_rows import Answering, predicting_copies
from relbench_harness.progress import track
from relbench_harness.protocol.audit.rearranged import Draft
from relbench_harness.protocol.method import Examples, Predictor

ROWS = 1_000_000
"""Rows of a database of copies, about."""
SAME = 1e-4
"""Answers differ by no more than this part of their spread where a copy stands for the database."""
ALIKE = 0.01
"""The same where half of the nearest rows are removed: statistics over whole tables, which copies leave as they are, then move a little."""
NEAREST = 1000
"""Of so many rows half are removed to see that: of a whole store's rows half are a good part of a small database."""
CHECKED = 3
"""For so many examples rows are removed from the whole database too, to see that copies stand for it."""
MOST_COPIED = 100_000
"""An example with more rows around it is not copied."""


@dataclass(frozen=True)
class Replaced:
    """Values of one column of an example's rows, taken from other rows of that table.

    Attributes:
        rows, donors: (m,) row numbers; whoever names the donors answers for their age.
    """

    table: str
    column: str
    rows: NDArray[np.int64]
    donors: NDArray[np.int64]


@dataclass(frozen=True)
class Subject:
    """Examples and their answers, in the number that is explained.

    Attributes:
        around: What each example's copy holds.
        exact: (n,) whether a copy's answer is that of the whole database; of other examples rows are removed from that.
        given: (n, …) the answers with nothing left out; `plain` is (n,) the number of each that is explained.
        reach: (n,) which reach the surroundings have; see `Surveyor.around`.
    """

    predictor: Predictor
    examples: Examples
    output: Output
    around: tuple[Surroundings, ...]
    exact: NDArray[np.bool_]
    given: NDArray[np.generic]
    plain: Floats
    reach: NDArray[np.int64]
    _copier: Copier = field(repr=False)
    _predict: Answering = field(repr=False)

    @classmethod
    def of(cls, predictor: Predictor, examples: Examples) -> Subject:
        """Finds for each example which surroundings are enough."""
        given = answers(predictor, examples)
        output = Output.chosen(given)
        plain = output.of(given)
        spread = float(plain.max() - plain.min()) or float(np.abs(plain).max()) or 1.0
        surveyor, copier = Surveyor.of(examples), Copier(examples)
        predict = predicting_copies(predictor, examples)
        around: list[Surroundings] = [Surroundings(())] * len(examples)
        exact, reaches = np.zeros(len(examples), bool), np.full(len(examples), REACHES, np.int64)
        self = cls(predictor, examples, output, (), exact, given, plain, reaches, copier, predict)
        left = list(range(len(examples)))
        for reach in track(range(REACHES), "reaches of rows around examples"):
            for i in left:
                around[i] = surveyor.around(i, reach)
            left = [i for i in left if len(around[i]) <= MOST_COPIED]
            found = self._stands_for_all({i: around[i] for i in left}, spread)
            exact[found], reaches[found] = True, reach
            left = [i for i in left if not exact[i]]
            if not left:
                break
        return replace(self, around=tuple(around))

    def take(self, rows: NDArray[np.int64]) -> Subject:
        """The examples at `rows`, in that order, with the surroundings that were found."""
        examples = self.examples.take(rows)
        return replace(
            self,
            examples=examples,
            output=self.output.take(rows),
            around=tuple(self.around[i] for i in rows),
            exact=self.exact[rows],
            given=self.given[rows],
            plain=self.plain[rows],
            reach=self.reach[rows],
            _copier=Copier(examples),
        )

    def _stands_for_all(self, around: Mapping[int, Surroundings], spread: float) -> list[int]:
        """The examples whose copies answer as the whole database does.

        Beside them stand copies that lack half of their nearest rows: so what depends on the company of other copies is found out, and
        for some whether removal from a copy is removal from the database.
        """
        variants = [
            variant for i, one in around.items() for variant in (Variant(i, one, {}), Variant(i, one, halved(one, i)))
        ]
        if not variants:
            return []
        about = np.asarray([variant.position for variant in variants])
        answered = self.output.take(about).of(self._copies(variants))
        same = np.abs(answered - self.plain[about]) <= SAME * spread
        found = [int(i) for i in about[::2][same[::2]]]
        half = dict(zip(about[1::2].tolist(), answered[1::2], strict=True))
        for i in found[:: max(len(found) // CHECKED, 1)][:CHECKED]:
            whole = self._whole(i, halved(around[i], i))[None]
            if abs(float(self.output.take(np.asarray([i])).of(whole)[0]) - half[i]) > ALIKE * spread:
                return []
        return found

    def without(self, cases: Sequence[tuple[int, Removed]]) -> Floats:
        """(m,) the numbers that are explained of cases: an example by its position, and rows left out of what it sees."""
        at = np.asarray([position for position, _ in cases], np.int64)
        return self.output.take(at).of(self.answers(cases)) if len(cases) else np.zeros(0)

    def answers(self, cases: Sequence[tuple[int, Removed]]) -> NDArray[np.generic]:
        """(m, …) the answers to cases."""
        found = np.empty((len(cases), *self.given.shape[1:]))
        copied = [at for at, (i, _) in enumerate(cases) if self.exact[i]]
        if copied:
            variants = [Variant(cases[at][0], self.around[cases[at][0]], cases[at][1]) for at in copied]
            found[copied] = self._copies(variants)
        rest = [at for at, (i, _) in enumerate(cases) if not self.exact[i]]
        for at in track(rest, "rows removed from the whole database"):
            found[at] = self._whole(*cases[at])
        return found

    def changed(self, position: int, cases: Sequence[Sequence[Replaced]]) -> Floats:
        """(m,) the numbers that are explained of one example, where values of columns of its rows are replaced."""
        if not cases:
            return np.zeros(0)
        output = self.output.take(np.full(len(cases), position))
        if self.exact[position]:
            variants = [Variant(position, self.around[position], {})] * len(cases)
            room = max(ROWS // max(len(self.around[position]), 1), 1)
            found = []
            for first in range(0, len(cases), room):
                examples, sources = self._copier.copied(variants[first : first + room])
                database = _replaced(examples.database, self.examples.database, cases[first : first + room], sources)
                found.append(self._predict(replace(examples, database=database), sources))
            return output.of(np.concatenate(found))
        one = self.examples.take(np.asarray([position]))
        every = {name: np.arange(len(table)) for name, table in one.database.items()}
        return output.of(
            np.concatenate(
                [
                    answers(self.predictor, replace(one, database=_replaced(one.database, one.database, [case], every)))
                    for case in track(cases, "columns replaced in the whole database")
                ]
            )
        )

    def _copies(self, variants: Sequence[Variant]) -> NDArray[np.generic]:
        return np.concatenate([self._predict(*self._copier.copied(part)) for part in _parts(variants)])

    def _whole(self, position: int, gone: Removed) -> NDArray[np.generic]:
        one = self.examples.take(np.asarray([position]))
        drafts = {
            name: Draft(np.setdiff1d(np.arange(len(one.database[name])), rows)) for name, rows in gone.items() if len(rows)
        }
        moved = without_rows(one, drafts) if drafts else one
        answer: NDArray[np.generic] = answers(self.predictor, moved)[0]
        return answer


def _replaced(
    database: Database, whole: Database, cases: Sequence[Sequence[Replaced]], sources: Mapping[str, NDArray[np.int64]]
) -> Database:
    """`database` of as many copies of the same rows as there are cases, in each the values that its case replaces.

    Args:
        sources: Table → row of `whole` that each row is a copy of, ascending: the copies of one row stand together, in the order of
            the cases.
    """
    taken: dict[tuple[str, str], NDArray[np.int64]] = {}
    for number, case in enumerate(cases):
        for one in case:
            at = taken.setdefault((one.table, one.column), np.asarray(sources[one.table]).copy())
            at[np.searchsorted(sources[one.table], one.rows) + number] = one.donors
    tables = dict(database.items())
    for (name, column), rows in taken.items():
        place = tables[name].rows.column_names.index(column)
        values = whole[name].rows.column(column).take(pa.array(rows))
        field_ = tables[name].rows.schema.field(place)
        tables[name] = replace(tables[name], rows=tables[name].rows.set_column(place, field_, values))
    return Database(tables.values())


def halved(around: Surroundings, seed: int) -> Removed:
    """Half of the `NEAREST` rows around an example, drawn at random, the entity's own not among them."""
    rng, left = np.random.default_rng([seed, 31]), NEAREST
    near: dict[str, list[NDArray[np.int64]]] = {}
    for block in around.blocks[1:]:
        rows = rng.permutation(block.rows)[:left]
        near.setdefault(block.table, []).append(rows)
        left -= len(rows)
    parts = {table: np.concatenate(rows) for table, rows in near.items()}
    return {table: np.sort(rng.choice(rows, len(rows) // 2, replace=False)) for table, rows in parts.items()}


def _parts(variants: Sequence[Variant]) -> Iterator[Sequence[Variant]]:
    """`variants` in parts of about `ROWS` rows."""
    begin, rows = 0, 0
    for at, variant in enumerate(variants):
        rows += len(variant.around)
        if rows >= ROWS or at == len(variants) - 1:
            yield variants[begin : at + 1]
            begin, rows = at + 1, 0
