"""One SELECT over seeds: own columns, joins up foreign keys, and aggregates joined in.

Invariant: a parent is null where it is not visible at the seed's time, however many keys lie between.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from relbench_harness.features.dfs.backend import inexpressible, naming
from relbench_harness.features.dfs.definitions import Feature
from relbench_harness.features.dfs.formulas import TRANSFORMS
from relbench_harness.features.dfs.frames import Frames
from relbench_harness.features.dfs.signatures import Hop, has_default, key_of, steps_of
from relbench_harness.features.dfs.sql import is_query

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from featuretools.feature_base import AggregationFeature, DirectFeature, IdentityFeature

Chain: TypeAlias = tuple[str, ...]
"""Foreign keys that lead from the seed's row up to another row."""


class Aggregated(NamedTuple):
    """A relation (row, t, …) of aggregates, and the column of each feature by its unique name."""

    relation: str
    columns: Mapping[str, str]


class Joined(NamedTuple):
    """A row joined in: the alias under which it stands, and its frame."""

    alias: str
    frame: str


class Scope:
    """Collects the joins that features need.

    Args:
        seeds: A relation or query of distinct (row, t).
        aggregate: Computes the aggregates at the end of a path for the seeds of a relation.
    """

    def __init__(
        self,
        frames: Frames,
        frame: str,
        seeds: str,
        aggregate: Callable[[tuple[Hop, ...], Sequence[Feature], str], list[Aggregated]],
    ) -> None:
        self._frames, self._sql, self._seeds, self._aggregate = frames, frames.sql, seeds, aggregate
        self._rows: dict[Chain, Joined] = {(): Joined("x", frame)}
        self._aggregates: dict[tuple[Chain, str], str] = {}
        self._joins = [self._sql("LEFT JOIN $table AS x ON x.row = s.row", table=frames.source(frame).relation)]

    def select(self, template: str, **parts: str) -> str:
        """`template`, which selects FROM $seeds AS s, with all that is joined to the seeds."""
        return " ".join([self._sql(template, seeds=self._seeds, **parts), *self._joins])

    def prepare(self, features: Sequence[Feature]) -> None:
        """Compute and join every aggregate that the features rest on."""
        wanted: dict[Chain, dict[tuple[Hop, ...], dict[str, Feature]]] = {}
        for feature in features:
            self._collect(feature, (), wanted)
        for chain, paths in wanted.items():
            with naming([feature for several in paths.values() for feature in several.values()]):
                seeds = self._seeds_of(chain)
            for steps, several in paths.items():
                for aggregated in self._aggregate(steps, list(several.values()), seeds):
                    self._join_aggregates(chain, aggregated)

    def _collect(
        self, feature: Feature, chain: Chain, wanted: dict[Chain, dict[tuple[Hop, ...], dict[str, Feature]]]
    ) -> None:
        if isinstance(feature, AggregationFeature):
            wanted.setdefault(chain, {}).setdefault(steps_of(feature), {})[feature.unique_name()] = feature
            return
        if isinstance(feature, DirectFeature):
            chain = (*chain, key_of(feature))
            self._join_parent(chain, str(feature.relationship_path[0][1].parent_dataframe.ww.name))
        for base in feature.base_features:
            self._collect(base, chain, wanted)

    def _join_parent(self, chain: Chain, frame: str) -> None:
        """Join the row that the foreign keys `chain` lead to."""
        if chain in self._rows:
            return
        child, alias = self._rows[chain[:-1]], f"x{len(self._rows)}"
        visible = " AND $alias.at < s.t" if self._frames.frame(frame).timed else ""
        self._joins.append(
            self._sql(
                "LEFT JOIN $parent AS $alias ON $alias.row = $key" + visible,
                parent=self._frames.source(frame).relation,
                alias=alias,
                key=f"{child.alias}.{self._frames.source(child.frame).keys[chain[-1]]}",
            )
        )
        self._rows[chain] = Joined(alias, frame)

    def _seeds_of(self, chain: Chain) -> str:
        """A relation of the distinct (row, t) of the rows that `chain` leads to."""
        if not chain and not is_query(self._seeds):
            return self._seeds
        row = self._sql("$alias.row", alias=self._rows[chain].alias)
        distinct = "SELECT DISTINCT" if chain else "SELECT"
        rows = self.select(f"{distinct} $row AS row, s.t FROM $seeds AS s", row=row)
        return self._frames.backend.store(f"{rows} {self._sql('WHERE $row IS NOT NULL', row=row)}")

    def _join_aggregates(self, chain: Chain, aggregated: Aggregated) -> None:
        name = f"g{len(self._joins)}"
        link = "LEFT JOIN $relation AS $name ON $name.row = $alias.row AND $name.t = s.t"
        self._joins.append(self._sql(link, relation=aggregated.relation, name=name, alias=self._rows[chain].alias))
        for feature, column in aggregated.columns.items():
            self._aggregates[chain, feature] = f"{name}.{column}"

    def value(self, feature: Feature, chain: Chain = ()) -> str:
        """The expression of a feature of the row that `chain` leads to.

        Raises:
            InputError: No expression gives it.
        """
        if isinstance(feature, IdentityFeature):
            return self._own(feature, chain)
        if isinstance(feature, DirectFeature):
            inner = self.value(feature.base_features[0], (*chain, key_of(feature)))
            if has_default(feature):
                return self._sql("COALESCE($inner, $default)", inner=inner, default=str(feature.default_value))
            return inner
        if isinstance(feature, AggregationFeature):
            return self._aggregates[chain, feature.unique_name()]
        name = feature.primitive.name
        if name not in TRANSFORMS:
            raise inexpressible(feature, f"no expression for primitive {name!r}")
        row = self._sql("$alias.row", alias=self._rows[chain].alias)
        return self._sql(TRANSFORMS[name], x=self.value(feature.base_features[0], chain), row=row)

    def _own(self, feature: Feature, chain: Chain) -> str:
        alias, name = self._rows[chain]
        frame, source = self._frames.frame(name), self._frames.source(name)
        if feature.column_name == frame.index:
            return self._sql("$alias.row", alias=alias)
        stored = source.keys.get(feature.column_name) or source.columns.get(feature.column_name)
        if stored is None:
            raise inexpressible(feature, f"column {feature.column_name!r} is not stored")
        return f"{alias}.{stored}"
