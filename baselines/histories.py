"""Which histories a question has, and their statistics as one standardised row of numbers per question.

The histories: children of the entity, children of those children, and children of the entity's parents. Beside them: the
calendar of the question's time, how stale its view is, the age of every date in the entity's own row, and the entity's own
labels of windows that had closed before its cut-off.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.data.task import TaskType
from relbench_harness.features.encode import numbers
from relbench_harness.features.label_history import closed_labels
from relbench_harness.features.past_labels import label_numbers
from relbench_harness.graph.encoders import CYCLES, waves
from relbench_harness.protocol.method import Examples

from .comparisons import Comparisons
from .drift import rounds, steady
from .interactions import ALWAYS
from .level import Levels
from .rows import covered
from .summaries import Floats, History

DAY = 86_400_000_000_000
MOST_COLUMNS = 24
SAMPLE = 20_000
CLOSED = 24
"""How many windows before a cut-off are looked at for labels."""
EDGE = 0.02
BINS = 8
"""Parts of equally many training questions that each statistic's range is divided into."""


@dataclass(frozen=True)
class Route:
    """Events of `table` that belong to an anchor: the entity, or the parent that the entity's column `up` names.

    `down` are the foreign keys from the event to the anchor: one, or two where a child lies between.
    """

    up: str | None
    anchor: str
    table: str
    down: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Measure:
    """One number per row of a table: a column in units of its usual size, or whether it has a common value."""

    column: str
    scale: float
    value: object = None

    def of(self, table: Table) -> Floats:
        column = table.rows.column(self.column)
        if self.value is not None:
            same = pc.equal(column, pa.scalar(self.value, column.type))
            return np.asarray(pc.fill_null(same, False).to_numpy(zero_copy_only=False), dtype=np.float64)
        return numbers(column) / self.scale


def measures_of(table: Table) -> list[Measure]:
    """What of a table is worth averaging, judged by its rows."""
    found: list[Measure] = []
    for name in table.attributes:
        column = table.rows.column(name)
        number = _is_number(column.type)
        if number:
            size = np.abs(numbers(column))
            known = size[~np.isnan(size)]
            if len(known) and known.min() != known.max():
                found.append(Measure(name, float(known.mean()) or 1.0))
        if (
            (number and not pa.types.is_floating(column.type))
            or pa.types.is_string(column.type)
            or pa.types.is_large_string(column.type)
        ):
            found += _common(name, column)
    return found[:MOST_COLUMNS]


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind)
    )


def _common(name: str, column: pa.ChunkedArray) -> list[Measure]:
    """The commonest values of a column that has few or a few common ones."""
    counts = pc.value_counts(column.combine_chunks())
    pairs = (
        [(c.as_py(), v.as_py()) for v, c in zip(counts.field("values"), counts.field("counts"), strict=True)]
        if len(counts) <= 2000
        else []
    )
    pairs = sorted(
        (p for p in pairs if p[1] is not None and 0.02 * len(column) < p[0] < 0.98 * len(column)),
        key=lambda p: (-p[0], str(p[1])),
    )
    return [Measure(name, 1.0, value) for _, value in pairs[:4]]


def routes_of(database: Database, entity: str) -> list[Route]:
    """Every history of a row of `entity`."""
    routes = []
    anchors: list[tuple[str | None, str]] = [(None, entity), *database[entity].references.items()]
    for up, anchor in anchors:
        for child, column in _children(database, anchor):
            routes.append(Route(up, anchor, child, ((child, column),)))
            if up is None:
                for grandchild, key in _children(database, child):
                    routes.append(Route(up, anchor, grandchild, ((grandchild, key), (child, column))))
    return [route for route in routes if any(database[t].times is not None for t, _ in route.down)]


def _children(database: Database, parent: str) -> list[tuple[str, str]]:
    return [(name, c) for name, table in database.items() for c, p in table.references.items() if p == parent]


class Histories:
    """Fitted on training examples: measures and windows per route, and how to standardise.

    Args:
        asked: The training questions with cut-offs as training will show them, by which statistics are standardised.
        compared: Which numbers of events are read against those of the events' parents.

    Attributes:
        edges: (bins + 1, width) quantiles of the statistics.
        own: (sampled questions, …) what is usual for them (`OpenHistories.own`), and `answers`, (sampled questions, …) their labels.
    """

    def __init__(self, train: Examples, asked: Examples, compared: Comparisons) -> None:
        known = train.known
        self.train, self.compared = train, compared
        self.task, self.routes = train.task, routes_of(known, train.task.entity_table)
        self.measures = {route.table: measures_of(known[route.table]) for route in self.routes}
        self.windows = windows_of(train)
        self.turns = tuple(t for t in CYCLES.values() if np.ptp(train.time) >= rounds(train.task.type) * t)
        entity = known[train.task.entity_table]
        self.dates = [
            name
            for name in entity.attributes
            if pa.types.is_temporal(entity.rows.column(name).type)
            and not pa.types.is_time(entity.rows.column(name).type)
            and not pa.types.is_duration(entity.rows.column(name).type)
        ]
        self.low, self.high = np.full(1, -np.inf), np.full(1, np.inf)
        self.middle, self.scale = np.zeros(1), np.ones(1)
        rows = np.sort(np.random.default_rng(0).permutation(len(train))[:SAMPLE])
        some, opened = asked.take(rows), OpenHistories(self, train)
        raw, self.own, self.answers = opened.raw(some), opened.own(some), some.labels
        self._opened: OpenHistories | None = opened
        # what lies outside of nearly all of training is read as its edge: a network must not extrapolate
        self.low, self.high = np.quantile(raw, [EDGE, 1 - EDGE], axis=0)
        raw = np.clip(raw, self.low, self.high)
        self.middle = raw.mean(0)
        varies = (raw.std(0) > 1e-9) & steady(raw, some.cutoff)
        self.scale = np.where(varies, raw.std(0), np.inf)
        self.edges = np.quantile((raw - self.middle) / self.scale, np.linspace(0, 1, BINS + 1), axis=0)

    def open(self, questions: Examples) -> OpenHistories:
        """The histories of the database that `questions` are about, or any at no later cut-offs."""
        opened, self._opened = self._opened, None
        # those of training were opened to fit on, and are handed on
        return opened if opened is not None and opened.database is questions.database else OpenHistories(self, questions)


def windows_of(train: Examples) -> tuple[int, ...]:
    """Lengths over which sums are taken: around the horizon, or where that is no span of time, parts of the whole."""
    horizon = int(train.task.horizon.value)
    if horizon < DAY:
        horizon = max(DAY, covered(train.known) // 64)
    return (horizon, 3 * horizon, 12 * horizon)


class OpenHistories:
    """Histories over one database."""

    def __init__(self, fitted: Histories, questions: Examples) -> None:
        database = questions.database
        self.fitted, self.database, self.departures = fitted, database, fitted.compared.open(database)
        self.parts = [(route, self._history(route)) for route in fitted.routes]
        entity = database[fitted.task.entity_table]
        self.labels, self.levels = _past_labels(questions, fitted, len(entity))
        self.named = {up: entity.parents(up) for up in {route.up for route in fitted.routes} if up is not None}
        self.dates = [
            entity.rows.column(name)
            .cast(pa.timestamp("ns"), safe=False)
            .cast(pa.int64())
            .fill_null(np.iinfo(np.int64).min)
            .to_numpy()
            for name in fitted.dates
        ]

    def _history(self, route: Route) -> History:
        (table, column), *rest = route.down
        parent = self.database[table].parents(column)
        times = self.database[table].times
        available = np.full(len(parent), ALWAYS) if times is None else times
        for middle, key in rest:
            between = self.database[middle]
            if between.times is not None and len(between):
                available = np.maximum(available, np.where(parent >= 0, between.times[parent.clip(0)], available))
            named = between.parents(key)
            parent = np.where(parent >= 0, named[parent.clip(0)], -1) if len(named) else parent
        measures = self.fitted.measures[route.table]
        columns = chain(
            (measure.of(self.database[route.table]) for measure in measures), self.departures.columns(route.table)
        )
        averaged = self.fitted.compared.count(route.table)
        anchors, width = len(self.database[route.anchor]), len(measures) + averaged
        return History.column_by_column(parent, available, columns, width, anchors, self.fitted.windows, averaged)

    def read(self, questions: Examples) -> NDArray[np.float32]:
        """(n, width) standardised features."""
        raw = np.clip(self.raw(questions), self.fitted.low, self.fitted.high)
        raw = (raw - self.fitted.middle) / self.fitted.scale
        return np.clip(raw, -8, 8).astype(np.float32)

    def raw(self, questions: Examples) -> Floats:
        parts = [_calendar(questions, self.fitted.turns)]
        for known in self.dates:
            date = known[questions.entity]
            age = (questions.time - date) / DAY
            parts.append(np.where(date == np.iinfo(np.int64).min, 0.0, np.arcsinh(age / 365.25))[:, None])
        for route, history in self.parts:
            anchor = questions.entity
            if route.up is not None:
                anchor = self._parent(route, questions)
            parts.append(history.read(anchor, questions.cutoff))
        if self.labels is not None:
            parts.append(self.labels.read(questions.entity, questions.cutoff))
        return np.concatenate(parts, axis=1)

    def own(self, questions: Examples) -> Floats:
        """(n, len(LAST) + 2) means of each question's own last labels, NaN where there are none, and the levels of everyone's
        and newcomers' labels; of regression tasks."""
        if self.labels is None or self.levels is None:
            return np.zeros((len(questions), 0))
        means = self.labels.means(questions.entity, questions.cutoff)[:, :, 0]
        return np.concatenate([means, self.levels.read(questions.cutoff)], axis=1)

    def _parent(self, route: Route, questions: Examples) -> NDArray[np.int64]:
        """The parent that each question's own row names, −1 where it is not visible."""
        assert route.up is not None
        named = self.named[route.up][questions.entity]
        times = self.database[route.anchor].times
        if times is None or questions.task.own_row_visible or len(times) == 0:
            return named
        return np.where((named >= 0) & (times[named.clip(0)] < questions.cutoff), named, -1)


def _past_labels(questions: Examples, fitted: Histories, entities: int) -> tuple[History | None, Levels | None]:
    """The entities' own labels, each an event of when it was known, and of regression tasks their levels."""
    train, kind = fitted.train, questions.task.type
    if kind is TaskType.RECOMMENDATION:
        return None, None
    labels = closed_labels(questions, CLOSED, learned=train)
    values = np.stack([values for _, values in label_numbers(questions, labels)], axis=1)
    history = History.of(labels.entity, labels.known_from - 1, values, entities, ())
    if kind is not TaskType.REGRESSION:
        return history, None
    return history, Levels.of(labels, values[:, 0], fitted.windows[-1], float(train.values.mean()))


def _calendar(questions: Examples, turns: tuple[float, ...]) -> Floats:
    stale = (questions.time - questions.cutoff) / DAY
    return np.column_stack([waves(questions.time, turns), np.log1p(stale), stale / 365.25])
