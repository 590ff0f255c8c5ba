"""The frames of an entity set as relations of a backend, and the rows at the end of a path as one query.

Invariant: a row at the end of a path becomes available at the latest of its own time and the times of the rows between.
"""

from __future__ import annotations

from dataclasses import dataclass

from relbench_harness.features.dfs.backend import Backend, Source
from relbench_harness.features.dfs.definitions import Frame, Schema
from relbench_harness.features.dfs.signatures import Hop
from relbench_harness.features.dfs.sql import BEGINNING, Sql


@dataclass(frozen=True)
class Frames:
    """The frames of `schema`, stored by `backend`."""

    backend: Backend
    schema: Schema

    @property
    def sql(self) -> Sql:
        return Sql(self.backend.dialect)

    def frame(self, name: str) -> Frame:
        return self.schema.frames[name]

    def source(self, name: str) -> Source:
        return self.backend.source(self.frame(name).table)

    def children(self, steps: tuple[Hop, ...]) -> str:
        """SELECT k, own, o, t: owner, own time, number and time of availability of the rows at the end of `steps`."""
        sql, child = self.sql, steps[-1].child
        # a time that the database has too, even for tables without one
        beginning = sql("CAST($beginning AS BIGINT)", beginning=str(BEGINNING))
        own = "c.at" if self.frame(child).timed else beginning
        times = [own] if self.frame(child).timed else []
        joins, alias = [], "c"
        for depth, (hop, above) in enumerate(zip(reversed(steps[1:]), reversed(steps[:-1]), strict=True)):
            between, link = f"m{depth}", f"{alias}.{self.source(hop.child).keys[hop.key]}"
            joins.append(
                sql(
                    "JOIN $between AS $name ON $name.row = $link",
                    between=self.source(above.child).relation,
                    name=between,
                    link=link,
                )
            )
            if self.frame(above.child).timed:
                times.append(f"{between}.at")
            alias = between
        owner = f"{alias}.{self.source(steps[0].child).keys[steps[0].key]}"
        select = sql(
            "SELECT $owner AS k, CAST($own AS BIGINT) AS own, c.row AS o, $t AS t FROM $child AS c",
            owner=owner,
            own=own,
            t=sql.latest(times or [beginning]),
            child=self.source(child).relation,
        )
        return " ".join([select, *joins, sql("WHERE $owner IS NOT NULL", owner=owner)])
