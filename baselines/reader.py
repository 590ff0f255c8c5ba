"""Reads batches for relational networks: sampled rows, their attributes, and plain statistics of each question's history.

A `Reader` is made once from the training examples and holds all that is fitted: encoders, vocabularies, which history is
summarised. `Reader.open` joins it with a database, which may hold more rows than training saw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from relbench_harness.data.database import Database
from relbench_harness.graph.attributes import Encoders
from relbench_harness.graph.encoders import Calendar
from relbench_harness.graph.neighbourhood import Neighbourhood
from relbench_harness.graph.sampler import Fan, Sampler, Strategy
from relbench_harness.graph.structure import Graph, Step
from relbench_harness.protocol.method import Examples
from relbench_harness.timing import phase

from .asof import Opened, as_of_keys, telling
from .comparisons import Comparisons
from .drift import rounds, steady
from .histories import SAMPLE, Histories
from .rows import Ancestry, Content, Link, RowEncoder, Rows, covered

DAY = 86_400e9
AGES = 7
"""How many numbers describe how old a row is."""


@dataclass(frozen=True)
class EdgeBatch:
    """Edges of one hop along one step: source node `first + i` has the neighbours `target[ends[i]:ends[i + 1]]`."""

    step: Step
    hop: int
    first: int
    ends: Tensor
    target: Tensor


@dataclass(frozen=True)
class Batch:
    """What a relational network reads.

    Attributes:
        content: The distinct rows.
        row: Table → (nodes,) place of each node's row among the distinct ones.
        age: Table → (nodes, AGES), for tables with a time.
        bare: Table → (nodes, 1) whether the row is no older than the cut-off, so that its parents may be hidden; absent
            where no row is. Such rows are the questions' own and, in autocomplete tasks, the parents they name.
        edges: Ordered by hop, one for every step taken, those along which nothing was found as well.
        seeds: (questions,) node of each question's entity.
        history: (questions, features) plain statistics.
        own: (questions, means + 2) what is usual for the question, see `OpenHistories.own`; regression only.
        labels: (questions, …), None where unknown.
    """

    content: Content
    row: dict[str, Tensor]
    age: dict[str, Tensor]
    bare: dict[str, Tensor]
    edges: list[EdgeBatch]
    seeds: Tensor
    history: Tensor
    own: Tensor
    labels: Tensor | None
    table: str


class Reader:
    """What was fitted on the training examples.

    Args:
        asked: The training questions with cut-offs as training will show them.

    Attributes:
        fans: Most recent children taken at each hop.
        generations: How many parents up a row is read with.
        span: Nanoseconds that the training database covers, the scale of ages.
    """

    def __init__(
        self, train: Examples, asked: Examples, fans: tuple[int, ...], generations: int, strategy: Strategy
    ) -> None:
        known = train.known
        self.task, self.fans, self.generations = train.task, fans, generations
        self.strategy = strategy
        with phase("graph"):
            self.encoders = Encoders.fit(known, train.fit_end)
            self.steady = {name: _steady(self.encoders, known, name, rounds(train.task.type)) for name in known}
            ancestry = Ancestry(known)
            self.late, self.parents = ancestry.late(known), ancestry.parent
            self.span = float(max(covered(known), DAY))
            self.compared = Comparisons.fit(known, self.encoders.layouts)
            self.histories = Histories(train, asked, self.compared)
            # the graph of training is handed on to the reading of training
            self._graph: tuple[Database, Graph] | None = (train.database, Graph.from_database(train.database))
            self.beside = telling(self._graph[1], as_of_keys(known, train.task.entity_table, train.task.own_row_visible))

    def open(self, questions: Examples) -> Reading:
        """The database of `questions` ready to be sampled, for them or any at no later cut-offs."""
        with phase("graph"):
            return Reading(self, questions)

    def graph(self, database: Database) -> Graph:
        """The graph of `database`; that of training is made only once."""
        known, self._graph = self._graph, None
        return known[1] if known is not None and known[0] is database else Graph.from_database(database)

    def row_encoder(self, channels: int) -> RowEncoder:
        beside = {key.name: key.beside for key in self.beside}
        compared = {key: len(found) for key, found in self.compared.found.items()}
        layouts = self.encoders.layouts
        return RowEncoder(layouts, self.steady, self.parents, beside, compared, channels, self.generations)

    def fanouts(self, graph: Graph) -> list[dict[Step, int]]:
        """Steps taken at each hop.

        From the entity: every parent and the latest children. Further out: the latest children, and parents where `Fold`
        does not show them: those of the entity's parents, and those that may be younger than their child.
        """
        entity = self.task.entity_table
        above = {s.target for s in graph.steps if s.up and s.source == entity}
        hops, reached = [], {entity}
        for hop, fan in enumerate(self.fans):
            taken = {}
            for step in graph.steps:
                asks = hop == 0 or step.source in above or (step.child, step.column) in self.late
                if step.source in reached and (asks or not step.up):
                    taken[step] = 1 if step.up else fan
            hops.append(taken)
            reached = {step.target for step in taken}
        return hops


def _steady(encoders: Encoders, known: Database, table: str, seasons: int) -> NDArray[np.bool_]:
    """Which numbers of a table's rows do not drift, nor are of cycles met less than `seasons` times, judged by some of its rows."""
    times, found = known[table].times, encoders.layouts[table].part("numbers")
    if not found or not len(known[table]):
        return np.ones(sum(len(e.names) for e in found), np.bool_)
    rows = np.unique(np.linspace(0, len(known[table]) - 1, min(len(known[table]), SAMPLE)).astype(np.int64))
    some = known[table].rows.take(pa.array(rows))
    numbers = [(e, some.column(e.column).combine_chunks()) for e in found]
    returned = [e.returns(v, seasons) if isinstance(e, Calendar) else np.ones(len(e.names), np.bool_) for e, v in numbers]
    kept = np.concatenate(returned)
    return kept if times is None else kept & steady(np.concatenate([e.encode(v) for e, v in numbers], axis=1), times[rows])


class Reading:
    """A reader and a database."""

    def __init__(self, reader: Reader, questions: Examples) -> None:
        database = questions.database
        self.reader, self.database = reader, database
        self.graph = reader.graph(database)
        self.sampler = Sampler(
            self.graph,
            cast(list[Fan], reader.fanouts(self.graph)),
            strategy=reader.strategy,
            own_parents=reader.task.own_row_visible,
            threads=1,
        )
        self.ancestry = Ancestry(database)
        self.beside = [Opened(self.graph, key) for key in reader.beside]
        self.attributes = reader.encoders.encode(database)
        self.history = reader.histories.open(questions)

    def batch(self, questions: Examples, seed: int = 0) -> Batch:
        """The batch of `questions`, which are about this database."""
        around = self.sampler.sample(self.reader.task.entity_table, questions.entity, questions.cutoff, seed)
        nodes = {name: n for name, n in around.nodes.items() if len(n)}
        distinct = {name: n.distinct for name, n in nodes.items()}
        return Batch(
            content=self.content({name: rows for name, (rows, _) in distinct.items()}),
            row={name: torch.from_numpy(index) for name, (_, index) in distinct.items()},
            age=self._ages(around),
            bare=_bare(around),
            edges=[
                EdgeBatch(e.step, e.hop, e.first, torch.from_numpy(e.ends), torch.from_numpy(e.target.astype(np.int64)))
                for e in around.edges
            ],
            seeds=torch.from_numpy(around.seeds.astype(np.int64)),
            history=torch.from_numpy(self.history.read(questions)),
            own=torch.from_numpy(self.history.own(questions).astype(np.float32)),
            labels=_labels(questions),
            table=around.table,
        )

    def content(self, asked: Mapping[str, Rows]) -> Content:
        """What the rows of `asked` (distinct, by table) hold, followed by what else is read to say what they are."""
        found = {o.key: o.before(asked[o.key.table]) for o in self.beside if o.key.table in asked}
        found = {key: (other, days) for key, (other, days) in found.items() if (other >= 0).any()}
        beside = {key.name: (key.beside, other) for key, (other, _) in found.items()}
        rows, reach, places = self.ancestry.close(asked, self.reader.generations, beside)
        links = {key: Link.of(place, [count.get(key[0], 0) for count in reach]) for key, place in places.items()}
        between = {}
        for key, (_, days) in found.items():
            days = days[links[key.name].child.numpy()]
            gap = np.stack([np.ones(len(days)), np.log1p(days) / 5, np.exp(-days)], axis=1)
            between[key.name] = torch.from_numpy(gap.astype(np.float32))
        for along in self.reader.compared.found.keys() & links.keys():
            child = rows[along[0]][links[along].child.numpy()]
            between[along] = torch.from_numpy(self.history.departures.read(along, child))
        return Content(
            records={name: self.attributes.take(name, r) for name, r in rows.items()},
            reach=reach,
            folds={key: link for key, link in links.items() if key not in beside},
            beside={key: link for key, link in links.items() if key in beside},
            between=between,
        )

    def _ages(self, around: Neighbourhood) -> dict[str, Tensor]:
        span = self.reader.span / DAY
        scales = (span * 4.0 ** -np.arange(AGES - 1)).astype(np.float32)
        ages = {}
        for name, nodes in around.nodes.items():
            days = around.age(name) if len(nodes) else None
            if days is not None:
                past = days.clip(min=0)[:, None]
                ages[name] = torch.from_numpy(np.concatenate([np.log1p(past) / 5, np.exp(-past / scales)], axis=1))
        return ages


def _bare(around: Neighbourhood) -> dict[str, Tensor]:
    found = {}
    for name, nodes in around.nodes.items():
        times = around.graph.table_times(name)
        if times is not None and len(nodes):
            bare = times[nodes.row] >= around.cutoffs[nodes.cut]
            if bare.any():
                found[name] = torch.from_numpy(bare)[:, None]
    return found


def _labels(questions: Examples) -> Tensor | None:
    if questions.labels is None or not isinstance(questions.labels, np.ndarray):
        return None
    labels = questions.labels
    return torch.from_numpy(labels.astype(np.float32 if labels.dtype == np.float64 else np.int64))
