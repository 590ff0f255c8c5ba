"""When values settle: whether what a row shows is final once the row is available.

Invariant: `is_settled` is exact, as it looks at every row: one query per path and signature, remembered.
"""

from __future__ import annotations

from relbench_harness.features.dfs.frames import Frames
from relbench_harness.features.dfs.signatures import Always, Down, Hop, Signature, Up, in_order
from relbench_harness.features.dfs.sql import BEGINNING


class Settling:
    """Remembers what it found for the frames of one database."""

    def __init__(self, frames: Frames) -> None:
        self._frames, self._sql = frames, frames.sql
        self._own_order: dict[tuple[Hop, ...], bool] = {}
        self._settled: dict[tuple[tuple[Hop, ...], Signature], bool] = {}

    def in_own_order(self, steps: tuple[Hop, ...]) -> bool:
        """Whether no row appears later than its own time, because of what lies between it and the entity."""
        if len(steps) == 1:
            return True
        if steps not in self._own_order:
            late = self._sql("SELECT COUNT(*) FROM $rows AS r WHERE t > own", rows=self._frames.children(steps))
            self._own_order[steps] = self._frames.backend.count(late) == 0
        return self._own_order[steps]

    def is_settled(self, steps: tuple[Hop, ...], found: Signature) -> bool:
        """Whether every value of signature `found` is final when its row at the end of `steps` becomes available."""
        if not found:
            return True
        if (steps, found) not in self._settled:
            late = self._sql(
                "SELECT COUNT(*) FROM $rows AS r JOIN $settle AS y ON y.row = r.o WHERE y.settle > r.t",
                rows=self._frames.children(steps),
                settle=self.settle(steps[-1].child, found),
            )
            self._settled[steps, found] = self._frames.backend.count(late) == 0
        return self._settled[steps, found]

    def settle(self, frame: str, found: Signature, since_visible: bool = False) -> str:
        """SELECT row, settle: the time after which the values of signature `found` no longer change, for every row.

        Args:
            since_visible: The value is read from below: not before the row itself is visible.
        """
        source, sql = self._frames.source(frame), self._sql
        times, joins = [sql("CAST($beginning AS BIGINT)", beginning=str(BEGINNING))], []
        for index, part in enumerate(in_order(found)):
            name = f"p{index}"
            match part:
                case Up(key, parent, on):
                    inner, link = self.settle(parent, on, since_visible=True), f"c.{source.keys[key]}"
                case Down(steps, on):
                    inner, link = self._last_change(steps, on), sql("c.row")
                case Always():
                    raise AssertionError("a value that rests on the time itself never settles")
            joins.append(sql("LEFT JOIN $inner AS $name ON $name.row = $link", inner=inner, name=name, link=link))
            times.append(sql("COALESCE($name.settle, $beginning)", name=name, beginning=str(BEGINNING)))
        if since_visible and self._frames.frame(frame).timed:
            times.append(sql("c.at"))
        select = sql("SELECT c.row, $settle AS settle FROM $table AS c", settle=sql.latest(times), table=source.relation)
        return " ".join([select, *joins])

    def _last_change(self, steps: tuple[Hop, ...], on: Signature) -> str:
        """SELECT row, settle of an aggregate: when the last of its rows, or of their values, came."""
        return self._sql(
            """
            SELECT k AS row, MAX(GREATEST(r.t, y.settle)) AS settle
            FROM $rows AS r JOIN $settle AS y ON y.row = r.o GROUP BY k
            """,
            rows=self._frames.children(steps),
            settle=self.settle(steps[-1].child, on),
        )
