"""Times for tables that have none: rows that came to be with a row that has a time.

Without one, such a table (order lines are the usual case) would be visible whole to every example, its future included.
Invariant: a time is taken only along the key to the row that creates the rows, never from one that they merely belong to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from relbench_harness.authoring.column_profile import Workbench
from relbench_harness.authoring.identifiers import quoted, text
from relbench_harness.authoring.numbering import Decision, parent_join
from relbench_harness.authoring.sources import Reference
from relbench_harness.authoring.staging import Staged

ENOUGH = 3
"""Fewer changes of parent from row to row than this show no order."""
IN_ORDER = 0.9
"""Rows come with their parents if at least this share of changes of parent goes forward in time."""
SCATTERED = 0.6
"""Rows do not come with their parents if no more than this share does."""
FEW, MOST = 10, 1000
"""Children of one parent, on average: so few speak for rows that it created; more than the most speak against it."""


def creation(
    name: str, reference: Reference, staged: Mapping[str, Staged], decisions: Mapping[str, Decision], bench: Workbench
) -> str | None:
    """Evidence that each row of `name` came to be with the row that it names; None where it merely belongs to it.

    Rows that are created with their parent (lines of an order) come in the order of their parents' times, are named by them (the
    parent's key is part of theirs), or are few for each of nearly all parents. Customers of a sales representative are neither.
    """
    one, parent = staged[name], staged[reference.parent]
    time, decision = decisions[reference.parent].time, decisions[name]
    assert time is not None  # whoever calls has looked
    whole = [c for c in decision.key if pa.types.is_integer(one.schema.field(c).type) and c not in reference.columns]
    # a counter tells the order in which rows came; so does, often enough, the order in which the source hands them out
    place = f"r.{quoted(whole[0])}" if len(decision.key) == 1 and whole else f"r.{quoted(one.position)}"
    ordered = bool(whole) or not _drawn_at_random(name, decision, bench)
    rows, named, parents, forward, changes = bench.row(
        f"WITH joined AS (SELECT {place} AS place, p.{quoted(parent.position)} AS parent, p.{quoted(time)} AS t "
        f"FROM {quoted(name)} r LEFT JOIN {quoted(reference.parent)} p "
        f"ON {parent_join(staged, name, reference, 'r', 'p')}), "
        "steps AS (SELECT *, lag(parent) OVER (ORDER BY place) AS before, lag(t) OVER (ORDER BY place) AS earlier "
        "FROM joined WHERE t IS NOT NULL) "
        "SELECT (SELECT count(*) FROM joined), count(*), count(DISTINCT parent), "
        "count(*) FILTER (parent <> before AND t >= earlier), count(*) FILTER (parent <> before) FROM steps"
    )
    counts = (rows, named, parents, forward, changes)
    if not ordered:
        # the order in which such rows are handed out says nothing
        counts = (rows, named, parents, 0, 0)
    return _said(reference, decision, parent.rows, [int(c) for c in counts])  # type: ignore[call-overload]


_UUID = "^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$"


def _drawn_at_random(name: str, decision: Decision, bench: Workbench) -> bool:
    """Whether the rows of `name` are named by UUIDs, which tell no order."""
    if len(decision.key) != 1:
        return False
    key = quoted(decision.key[0])
    found = bench.number(
        f"SELECT count(*) FILTER (NOT regexp_matches(CAST({key} AS VARCHAR), {text(_UUID)})) FROM "
        f"(SELECT {key} FROM {quoted(name)} LIMIT 1000)"
    )
    return found == 0


def _said(reference: Reference, decision: Decision, all_parents: int, counts: list[int]) -> str | None:
    rows, named, parents, forward, changes = counts
    if not named or named < 0.95 * rows or named > MOST * parents:
        return None
    each = named / parents
    counted = f"{named:,} rows of {parents:,} rows of {reference.parent}, {each:.1f} each"
    if changes >= ENOUGH and forward >= IN_ORDER * changes:
        return f"{counted}, in the order of their times"
    if set(reference.columns) <= set(decision.key):
        return f"{counted}, whose key is part of theirs"
    scattered = changes >= ENOUGH and forward <= SCATTERED * changes and len(decision.key) == 1
    if each <= FEW and 2 * parents >= all_parents and 5 * parents >= named and not scattered:
        return counted
    return None


OLDER = 0.5
"""A time is not when a row came to be if at least this share of the rows that name it are older."""
NAMING = 20
"""Fewer rows that name a table's rows than this decide nothing."""


def _naming(name: str, decisions: Mapping[str, Decision], without: str) -> Iterator[tuple[str, str, Reference]]:
    """(table, its time, reference) for each reference to `name` from a table with a time, other than itself and `without`."""
    for child, decision in decisions.items():
        if decision.time is not None and child not in (name, without):
            yield from ((child, decision.time, r) for r in decision.references if r.parent == name)


def written_later(
    name: str, staged: Mapping[str, Staged], decisions: Mapping[str, Decision], bench: Workbench
) -> str | None:
    """Evidence that the time of `name` is not when its rows came to be: most rows that name them are older."""
    time = decisions[name].time
    assert time is not None  # whoever calls has looked
    named = older = 0
    children = []
    for child, at, reference in _naming(name, decisions, name):
        counts = bench.row(
            f"SELECT count(*), count(*) FILTER (r.{quoted(at)} < p.{quoted(time)}) "
            f"FROM {quoted(child)} r JOIN {quoted(name)} p ON {parent_join(staged, child, reference, 'r', 'p')}"
        )
        named, older = named + int(counts[0]), older + int(counts[1])  # type: ignore[call-overload]
        children.append(child)
    if named < NAMING or older < OLDER * named:
        return None
    return f"{older:,} of the {named:,} rows of {', '.join(dict.fromkeys(children))} that name its rows are older"


BEFORE = 0.05
"""Share of the rows that name a table's rows and are older than their parent, from which the parent did not create them."""


def _there_before(
    name: str, reference: Reference, staged: Mapping[str, Staged], decisions: Mapping[str, Decision], bench: Workbench
) -> bool:
    """Whether rows of `name` were there before the rows that they name: orders of customers, before their region was."""
    time = decisions[reference.parent].time
    assert time is not None  # whoever calls has looked
    named = older = 0
    for child, at, mine in _naming(name, decisions, reference.parent):
        counts = bench.row(
            f"SELECT count(*), count(*) FILTER (c.{quoted(at)} < p.{quoted(time)}) "
            f"FROM {quoted(child)} c JOIN {quoted(name)} r ON {parent_join(staged, child, mine, 'c', 'r')} "
            f"JOIN {quoted(reference.parent)} p ON {parent_join(staged, name, reference, 'r', 'p')}"
        )
        named, older = named + int(counts[0]), older + int(counts[1])  # type: ignore[call-overload]
    return named >= NAMING and older >= BEFORE * named


def lender(
    name: str, staged: Mapping[str, Staged], decisions: Mapping[str, Decision], bench: Workbench
) -> tuple[Reference, str] | None:
    """The one reference of `name` to a table with a time that created its rows, with the evidence; None where there are none
    or several."""
    timed = [r for r in decisions[name].references if r.parent != name and decisions[r.parent].time is not None]
    found = [
        (r, said)
        for r in timed
        if (said := creation(name, r, staged, decisions, bench)) is not None
        and not _there_before(name, r, staged, decisions, bench)
    ]
    return found[0] if len(found) == 1 else None


def inherit(
    name: str, reference: Reference, staged: Mapping[str, Staged], decisions: Mapping[str, Decision], bench: Workbench
) -> str:
    """Give `name` a time column with its parents' times; returns the column's name, which the table lacked."""
    one, parent = staged[name], decisions[reference.parent]
    assert parent.time is not None  # whoever calls has looked
    taken = {n.lower() for n in (*one.schema.names, one.position, *one.raw.values())}
    column = parent.time
    while column.lower() in taken:
        column = f"{reference.parent}_{column}"
    path = one.path.with_suffix(".timed.parquet")
    bench.connection.execute(
        f"COPY (SELECT r.*, p.{quoted(parent.time)} AS {quoted(column)} FROM {quoted(name)} r "
        f"LEFT JOIN {quoted(reference.parent)} p ON {parent_join(staged, name, reference, 'r', 'p')} "
        f"ORDER BY r.{quoted(one.position)}) TO {text(str(path))} (FORMAT parquet)"
    )
    one.path, one.schema = path, pa.schema([*one.schema, pq.read_schema(path).field(column)])
    bench.view(name, path)
    decisions[name].time = column
    return column
