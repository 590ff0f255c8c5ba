"""What would have to be otherwise for another answer: rows that are gone, or values of columns as other examples have them.

Invariant: an answer is the predictor's own about data that could have been: values come from rows that are older than the example's cut-off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from relbench_harness.errors import InputError
from relbench_harness.explain.copies import Removed
from relbench_harness.explain.explanation import Explanation, Part
from relbench_harness.explain.outputs import Floats
from relbench_harness.explain.surroundings import Block, Surroundings, Surveyor
from relbench_harness.explain.variants import Replaced, Subject
from relbench_harness.protocol.method import Examples
from relbench_harness.temporal.visibility import no_later

Place = tuple[str, str, str]
"""Table, column, and the path on which its rows are reached."""


@dataclass(frozen=True)
class RowsGone:
    """Rows without which the answer is another, the one that moved it most first."""

    rows: tuple[Part, ...]
    answer: float


@dataclass(frozen=True)
class ValuesReplaced:
    """Columns whose values are those of another example.

    Attributes:
        places: One or two of them.
        counts: Of how many rows each.
        entity, time: The other example.
        before, after: The values of each column where it is of one row alone; else None.
    """

    places: tuple[Place, ...]
    counts: tuple[int, ...]
    entity: int
    time: int
    before: tuple[object | None, ...]
    after: tuple[object | None, ...]
    answer: float


@dataclass(frozen=True)
class Contrast:
    """The smallest changes found; None where none of those that were tried is enough.

    Attributes:
        threshold: What the prediction is to cross; NaN where it is to move by `amount`.
        farthest: Of all answers to what was tried, the one that went farthest that way; NaN where nothing could be tried.
    """

    example: int
    prediction: float
    threshold: float
    amount: float
    rows: RowsGone | None
    values: ValuesReplaced | None
    farthest: float = float("nan")


@dataclass(frozen=True)
class Others:
    """Answered examples whose values may stand in the place of others.

    Attributes:
        given: (n, …) the answers.
    """

    examples: Examples
    given: NDArray[np.generic]


@dataclass(frozen=True)
class Contrasts:
    """Looks for the smallest changes.

    Attributes:
        threshold: None takes the median of the other examples' answers.
        amount: Where it is given, the prediction is to move by so much, either way, and no threshold counts.
        rows: At most so many rows are removed together.
        donors: Values are taken from so many other examples, of similar time and on the other side.
        columns: At most so many columns are tried.
    """

    threshold: float | None = None
    amount: float | None = None
    rows: int = 6
    donors: int = 4
    columns: int = 24

    def of(self, subject: Subject, found: Sequence[Explanation], others: Others) -> tuple[Contrast, ...]:
        """One for each example of `subject`, whose rows `found` explains.

        Args:
            others: About the same database or one that begins with it or ends before it.

        Raises:
            InputError: An amount that is not above 0.
        """
        if self.amount is not None and not self.amount > 0:
            raise InputError(f"a prediction is to move by {self.amount}; name an amount above 0")
        return tuple(self._one(subject, i, explanation, others) for i, explanation in enumerate(found))

    def _one(self, subject: Subject, position: int, found: Explanation, others: Others) -> Contrast:
        prediction = float(subject.plain[position])
        column = subject.output.column
        given = np.asarray(others.given, np.float64)
        numbers = given if column is None else given[:, int(column[position])]
        threshold = float(np.median(numbers)) if self.threshold is None else self.threshold
        goal = _Goal(prediction, threshold, self.amount)
        rows, some = self._rows(subject, position, found, goal)
        tried = _Values(subject, position, others, goal, self)
        values = tried.best(numbers)
        return Contrast(
            example=position,
            prediction=prediction,
            threshold=threshold if self.amount is None else float("nan"),
            amount=float("nan") if self.amount is None else self.amount,
            rows=rows,
            values=values,
            farthest=goal.farthest(np.concatenate([some, *tried.answers])),
        )

    def _rows(self, subject: Subject, position: int, found: Explanation, goal: _Goal) -> tuple[RowsGone | None, Floats]:
        """Single rows first, then the rows that moved the answer most together, one more at a time; and all answers."""
        sets: list[tuple[Part, ...]] = []
        for sign in goal.signs:
            # without a row that raised the prediction it is lower
            ordered = [a.part for a in found.of("row") if a.value * sign < 0]
            sets += [(part,) for part in ordered[: 2 * self.rows]]
            sets += [tuple(ordered[:count]) for count in range(2, min(self.rows, len(ordered)) + 1)]
        after = subject.without([(position, _removed(parts)) for parts in sets])
        enough = [i for i in range(len(sets)) if goal.is_met(float(after[i]))]
        if not enough:
            return None, after
        best = min(enough, key=lambda i: (len(sets[i]), -abs(float(after[i]) - goal.prediction)))
        return RowsGone(sets[best], float(after[best])), after


@dataclass(frozen=True)
class _Goal:
    prediction: float
    threshold: float
    amount: float | None

    @property
    def signs(self) -> tuple[int, ...]:
        """Which ways the prediction may move."""
        return (1, -1) if self.amount is not None else (-1,) if self.prediction > self.threshold else (1,)

    def is_met(self, answer: float) -> bool:
        if self.amount is not None:
            return abs(answer - self.prediction) >= self.amount
        return answer < self.threshold if self.prediction > self.threshold else answer > self.threshold

    def nearer(self, answers: Floats) -> Floats:
        """(n,) how far each answer goes the way that is wanted."""
        moved: Floats = answers - self.prediction
        return np.abs(moved) if self.amount is not None else moved * self.signs[0]

    def farthest(self, answers: Floats) -> float:
        return float(answers[np.argmax(self.nearer(answers))]) if len(answers) else float("nan")


def _removed(parts: Sequence[Part]) -> Removed:
    tables: dict[str, list[int]] = {}
    for part in parts:
        tables.setdefault(part.table or "", []).append(part.row or 0)
    return {table: np.sort(np.asarray(rows, np.int64)) for table, rows in tables.items()}


class _Values:
    """Values of an example's rows, replaced by those of other examples."""

    def __init__(self, subject: Subject, position: int, others: Others, goal: _Goal, settings: Contrasts) -> None:
        self._subject, self._position, self._goal, self._settings = subject, position, goal, settings
        self._others = others.examples
        self.answers: list[Floats] = []

    def best(self, numbers: Floats) -> ValuesReplaced | None:
        """One column where that is enough, else two; of those that are enough the change of fewest rows.

        Args:
            numbers: (n,) the answers of the other examples.
        """
        donors = self._donors(numbers)
        if not len(donors):
            return None
        survey = Surveyor.of(self._others)
        mine = below(self._subject.around[self._position])
        theirs = [below(survey.around(int(donor), 0)) for donor in donors]
        single = [(d, (one,)) for d, blocks in enumerate(theirs) for one in self._replacements(mine, blocks)]
        after = self._subject.changed(self._position, [[r for _, r in change] for _, change in single])
        self.answers.append(after)
        found = self._smallest(single, after, donors)
        if found is not None:
            return found
        pairs = list(self._pairs(single, self._goal.nearer(after)))
        after = self._subject.changed(self._position, [[r for _, r in change] for _, change in pairs])
        self.answers.append(after)
        return self._smallest(pairs, after, donors)

    def _donors(self, numbers: Floats) -> NDArray[np.int64]:
        """Other entities, no later, on the other side where any is, of those of most similar time the ones nearest to the goal."""
        examples, at = self._subject.examples, self._position
        fits = no_later(self._others.cutoff, int(examples.cutoff[at])) & no_later(self._others.time, int(examples.time[at]))
        fits &= self._others.entity != examples.entity[at]
        met = fits & np.asarray([self._goal.is_met(float(number)) for number in numbers])
        places = np.flatnonzero(met if met.any() else fits)
        latest = places[np.argsort(-self._others.cutoff[places], kind="stable")][: 8 * self._settings.donors]
        # those just beyond the goal, or where none is beyond it those that go farthest
        away = np.abs(numbers[latest] - self._goal.prediction) if met.any() else -self._goal.nearer(numbers[latest])
        nearest = latest[np.argsort(away, kind="stable")]
        # without copies every trial reads the whole database
        return nearest[: self._settings.donors if self._subject.exact[at] else 1].astype(np.int64)

    def _replacements(self, mine: Mapping[Place, Block], theirs: Mapping[Place, Block]) -> Iterator[tuple[Place, Replaced]]:
        """Columns of rows that both examples have, the latest row in the place of the latest; fewer rows are taken in turn."""
        database = self._subject.examples.database
        columns = 0
        for place, block in mine.items():
            other = theirs.get(place)
            if other is None:
                continue
            table = database[block.table]
            count = len(block.rows)
            donors = other.rows[::-1][np.arange(count) % len(other.rows)][::-1]
            for column in table.attributes:
                if columns < self._settings.columns:
                    columns += 1
                    yield (block.table, column, place[2]), Replaced(block.table, column, block.rows, donors)

    @staticmethod
    def _pairs(
        single: Sequence[tuple[int, tuple[tuple[Place, Replaced], ...]]], nearer: Floats, most: int = 5
    ) -> Iterator[tuple[int, tuple[tuple[Place, Replaced], ...]]]:
        """Two columns of one donor, of those that went farthest."""
        for donor in dict.fromkeys(d for d, _ in single):
            rows = [i for i, (d, _) in enumerate(single) if d == donor and nearer[i] > 0]
            best = sorted(rows, key=lambda i: -nearer[i])[:most]
            for one, two in combinations(best, 2):
                yield donor, (*single[one][1], *single[two][1])

    def _smallest(
        self, tried: Sequence[tuple[int, tuple[tuple[Place, Replaced], ...]]], after: Floats, donors: NDArray[np.int64]
    ) -> ValuesReplaced | None:
        enough = [i for i in range(len(tried)) if self._goal.is_met(float(after[i]))]
        if not enough:
            return None
        best = min(enough, key=lambda i: (sum(len(r.rows) for _, r in tried[i][1]), i))
        donor, change = tried[best]
        return ValuesReplaced(
            places=tuple(place for place, _ in change),
            counts=tuple(len(one.rows) for _, one in change),
            entity=int(self._others.entity[donors[donor]]),
            time=int(self._others.time[donors[donor]]),
            before=tuple(self._value(one, one.rows) for _, one in change),
            after=tuple(self._value(one, one.donors) for _, one in change),
            answer=float(after[best]),
        )

    def _value(self, one: Replaced, rows: NDArray[np.int64]) -> object | None:
        if len(rows) != 1:
            return None
        value: object = self._subject.examples.database[one.table].rows.column(one.column)[int(rows[0])].as_py()
        return value


def below(around: Surroundings) -> dict[Place, Block]:
    """(table, "", path) → the block of the own row and of each path that leads down from it."""
    return {
        (block.table, "", block.route.name): block
        for block in around.blocks
        if len(block.rows) and not any(leg.up for leg in block.route.legs)
    }
