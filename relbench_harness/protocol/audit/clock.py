"""Check: SQL that makes labels or features uses no clock and no chance, which would make it mean something else tomorrow.

Read from the SQL itself, so that a function is named with its place, whether or not a run happens to show it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from relbench_harness.protocol.audit.report import Finding
from relbench_harness.protocol.audit.subject import Subject

CLOCK = frozenset(
    re.findall(
        r"\w+",
        """now today sysdate systimestamp getdate curdate curtime timeofday txid_current unix_timestamp utc_date utc_time
        utc_timestamp current_date current_time current_timestamp current_datetime current_localtime current_localtimestamp
        localtime localtimestamp get_current_time get_current_timestamp transaction_timestamp statement_timestamp
        clock_timestamp""",
    )
)
CHANCE = frozenset(
    re.findall(
        r"\w+",
        """random rand randn randstr setseed uuid gen_random_uuid generate_uuid uuidv4 uuidv7 uuid_generate_v4 newid nextval
        currval reservoir_quantile shuffle list_shuffle array_shuffle sample""",
    )
)
SURROUNDINGS = frozenset(
    (
        "getenv",
        "current_setting",
        "getvariable",
        "current_query",
        "current_user",
        "current_schema",
        "version",
        "current_version",
    )
)
"""Functions that read the clock, draw by chance, or read settings of the system."""
WORDS = re.compile(r"\s*(now|today|yesterday|tomorrow)\s*(\(\s*\))?\s*", re.IGNORECASE)
"""Texts that some databases read as times of the clock."""


@dataclass(frozen=True)
class Clock:
    name: str = "clock"

    def find(self, subject: Subject) -> Finding:
        task = subject.stages.task
        queries = {} if task.sql is None else {f"the SQL of task {task.id}": task.sql}
        queries |= dict(subject.queries)
        if not queries:
            return Finding(self.name, "not applicable", "Neither the task's labels nor the method come from SQL.")
        for name, sql in queries.items():
            for place in unsteady(sql):
                return Finding(self.name, "failed", f"{name[0].upper()}{name[1:]} uses {place}.", {"queries": len(queries)})
        names = " and ".join(queries)
        evidence = f"No clock, no chance and no setting of the system is used in {names}."
        return Finding(self.name, "passed", evidence, {"queries": len(queries)})


def unsteady(sql: str) -> Iterator[str]:
    """Each function of `sql` whose value does not follow from its arguments, and where it stands."""
    text = re.sub(r"\{\w+\}", "1 day", sql)
    try:
        statements = [found for found in sqlglot.parse(text, read="duckdb") if found is not None]
    except SqlglotError as error:
        yield f"SQL that cannot be parsed ({' '.join(str(error).split())[:100]})"
        return
    for node in (node for statement in statements for node in statement.walk()):
        name = _name(node)
        if name is not None:
            yield f"{name} in line {_line(node, text, name)}"


def _name(node: exp.Expr) -> str | None:
    """What the node is called if its value rests on more than its arguments."""
    if isinstance(node, exp.TableSample):
        return "SAMPLE"
    if isinstance(node, exp.Cast) and isinstance(node.this, exp.Literal) and WORDS.fullmatch(str(node.this.this)):
        return f"'{node.this.this}'" if node.to.is_type(*exp.DataType.TEMPORAL_TYPES) else None
    if not isinstance(node, exp.Func):
        return None
    names = {node.name.lower()} if isinstance(node, exp.Anonymous) else {name.lower() for name in node.sql_names()}
    names |= {type(node).__name__.lower()}
    if isinstance(node, exp.Anonymous) and node.name.lower() == "age" and len(node.expressions) == 1:
        return "age() with one argument"
    known = names & (CLOCK | CHANCE | SURROUNDINGS)
    return f"{min(known)}()" if known else None


def _line(node: exp.Expr, sql: str, name: str) -> str:
    """The line of the SQL in which the node stands, if it can be found."""
    at = node.meta.get("line")
    if at is None:
        found = re.search(re.escape(name.strip("'()").split("(")[0]), sql, re.IGNORECASE)
        at = None if found is None else sql.count("\n", 0, found.start()) + 1
    return "unknown" if at is None else str(at)
