"""What is fitted on the training examples before a network learns: encoders, vocabularies, which history is summarised.

Invariant: everything is fitted on rows visible at the end of training. `bind` joins it with a database that may hold more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

from relbench_harness.data.database import Database
from relbench_harness.features.entity_summary import (
    Standardisation,
    SummaryPlan,
    SummaryReader,
    sample_of,
)
from relbench_harness.graph.ancestors import AncestorIndex
from relbench_harness.graph.attributes import Attributes, Encoders
from relbench_harness.graph.parent_residuals import BoundResiduals, ParentResiduals
from relbench_harness.graph.ranks import once_per_machine
from relbench_harness.graph.row_batch import Key, Rows
from relbench_harness.graph.row_reader import RowReader
from relbench_harness.graph.sampler import Fanout, Sampler, Strategy
from relbench_harness.graph.structure import Graph, Step
from relbench_harness.protocol.method import Examples
from relbench_harness.temporal.as_of import AsOfIndex, AsOfKey, as_of_keys
from relbench_harness.temporal.visibility import span_of
from relbench_harness.timing import phase

from .batch_builder import BatchBuilder, HistoryReader
from .mechanisms import Mechanism
from .row_encoder import RowSchema
from .temporal_encoder import DAY


@dataclass(frozen=True)
class Sampling:
    """How a neighbourhood is read.

    Attributes:
        num_neighbors: Most visible children of a row that are read over one foreign key, for each hop.
        ancestor_depth: How many foreign keys are followed upwards from a row to the ancestors that its encoding shows.
        strategy: Which children are taken: the most `recent`, `uniform` at random, or `decayed`: at random, older ones more rarely.
    """

    num_neighbors: tuple[int, ...]
    ancestor_depth: int
    strategy: Strategy


class BuilderParts(NamedTuple):
    """The parts of a batch builder that are costly to make; fitting needs those of the training database already."""

    graph: Graph
    residuals: BoundResiduals
    summary: SummaryReader | None
    attributes: Attributes | None = None


class Prepared(NamedTuple):
    """A preprocessor, and the batch builder of its training database."""

    preprocessor: Preprocessor
    builder: BatchBuilder


@dataclass(frozen=True)
class Preprocessor:
    """What was fitted on the training examples.

    Attributes:
        train: The training examples.
        without: Mechanisms that are left out.
        schema: What a row encoder is made for.
        keys_to_younger: Keys that name a parent younger than its child somewhere in training. The row encoder leaves such a parent
            out, row by row and in every database; over these keys it is sampled instead, where it is visible.
        span: Nanoseconds that the training database covers, the largest scale of ages.
        plan: None where the entity's summary is left out, and so is `standardisation`.
    """

    train: Examples
    sampling: Sampling
    without: frozenset[Mechanism]
    encoders: Encoders
    schema: RowSchema
    as_of: tuple[AsOfKey, ...]
    keys_to_younger: frozenset[Key]
    span: float
    residuals: ParentResiduals
    plan: SummaryPlan | None
    standardisation: Standardisation | None

    @classmethod
    def fit(cls, train: Examples, shown: Examples, sampling: Sampling, without: Collection[Mechanism]) -> Prepared:
        """Fit on the rows of `train` that are visible at the end of training.

        Args:
            shown: The training examples with the cut-offs that training shows them, by which the summary is standardised.
        """
        with phase("graph"):
            return _fit(train, shown, sampling, frozenset(without))

    def bind(self, examples: Examples) -> BatchBuilder:
        """The batch builder of the database of `examples`, for them or any at no later cut-offs."""
        with phase("graph"):
            residuals = self.residuals.bind(examples.database)
            summary = None if self.plan is None else SummaryReader(self.plan, examples, residuals)
            return self.builder(examples, BuilderParts(_graph(examples.database), residuals, summary))

    def bind_copies(self, examples: Examples, whole: BatchBuilder, sources: Mapping[str, Rows]) -> BatchBuilder:
        """The batch builder of `examples` about copies of rows of another database, whose records and residuals they keep.

        Args:
            whole: The batch builder of that database.
            sources: Table → (rows,) the row there that each row is a copy of.
        """
        residuals = whole.rows.residuals.of_copies(examples.database, sources)
        summary = None if self.plan is None else SummaryReader(self.plan, examples, residuals)
        attributes = whole.rows.attributes.of_copies(sources)
        parts = BuilderParts(Graph.from_database(examples.database), residuals, summary, attributes)
        return self.builder(examples, parts)

    def builder(self, examples: Examples, parts: BuilderParts) -> BatchBuilder:
        """The batch builder of the database of `examples` from parts that are made already."""
        database, graph = examples.database, parts.graph
        fan_outs = cast(list[Fanout], self.fan_outs(graph))
        own_parents = self.train.task.own_row_visible
        sampler = Sampler(graph, fan_outs, strategy=self.sampling.strategy, own_parents=own_parents, threads=1)
        joins = [AsOfIndex(graph, key) for key in self.as_of]
        ancestors = AncestorIndex(database)
        depth = self.sampling.ancestor_depth
        attributes = parts.attributes
        if attributes is None:
            attributes = once_per_machine(lambda folder: self.encoders.encode(database, folder))
        rows = RowReader(attributes, ancestors, joins, parts.residuals, depth)
        history = HistoryReader(parts.summary, self.standardisation)
        return BatchBuilder(database, self.train.task.entity_table, sampler, rows, history, self.span)

    def fan_outs(self, graph: Graph) -> list[dict[Step, int]]:
        """Per hop, the steps that are sampled, and how many neighbours each gives.

        At the first hop: every parent of the entity, and its children. Later hops: children; parents only of rows of tables that
        the entity names, whose encoding may be masked, and over keys to younger rows. All other ancestors, as far as
        `ancestor_depth`, come with a row's encoding.
        """
        entity = self.train.task.entity_table
        parent_tables = {s.target for s in graph.steps if s.up and s.source == entity}
        hops, reached = [], {entity}
        for hop, count in enumerate(self.sampling.num_neighbors):
            taken = {}
            for step in graph.steps:
                parents_too = hop == 0 or step.source in parent_tables or (step.child, step.column) in self.keys_to_younger
                if step.source in reached and (parents_too or not step.up):
                    taken[step] = 1 if step.up else count
            hops.append(taken)
            reached = {step.target for step in taken}
        return hops


def _graph(database: Database) -> Graph:
    return once_per_machine(
        lambda folder: Graph.from_database(database) if folder is None else Graph.stored(database, folder)
    )


def _informative(keys: Sequence[AsOfKey], known: Database, graph: Graph) -> tuple[AsOfKey, ...]:
    """Those of `keys` that are worth reading, judged by the rows of `known` alone; `graph` may hold later ones."""
    read = {table for key in keys for table in (key.left.child, key.right.child)}
    past = graph if all(graph.size(table) == len(known[table]) for table in read) else Graph.from_database(known)
    return tuple(key for key in keys if AsOfIndex(past, key).is_informative())


def _fit(train: Examples, shown: Examples, sampling: Sampling, without: frozenset[Mechanism]) -> Prepared:
    known, task = train.known, train.task
    encoders = Encoders.fit(known, train.fit_end)
    residuals = ParentResiduals.none() if "parent_residuals" in without else ParentResiduals.fit(known, encoders.layouts)
    graph = _graph(train.database)
    bound_residuals = residuals.bind(train.database)
    plan, reader, standardisation = None, None, None
    if "entity_summary" not in without:
        plan = SummaryPlan.of(train)
        reader = SummaryReader(plan, train, bound_residuals)
        standardisation = Standardisation.fit(reader.raw(sample_of(shown)))
    keys = () if "as_of_links" in without else as_of_keys(known, task.entity_table, task.own_row_visible)
    keys = _informative(keys, known, graph)
    ancestors = AncestorIndex(known)
    schema = RowSchema(
        layouts=encoders.layouts,
        parents=ancestors.parent,
        as_of={key.name: key.right.child for key in keys},
        residuals=residuals.widths,
    )
    preprocessor = Preprocessor(
        train=train,
        sampling=sampling,
        without=without,
        encoders=encoders,
        schema=schema,
        as_of=keys,
        keys_to_younger=frozenset(ancestors.late(known)),
        span=float(max(span_of(known), DAY)),
        residuals=residuals,
        plan=plan,
        standardisation=standardisation,
    )
    return Prepared(preprocessor, preprocessor.builder(train, BuilderParts(graph, bound_residuals, reader)))
