"""Tables of entities that a source only mentions: the users of a table of ratings, where no table lists users.

Such a table holds every different value of the columns that name its rows, as its key, and nothing else. It has no time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from relbench_harness.authoring.column_profile import ColumnProfile, Workbench
from relbench_harness.authoring.identifiers import quoted, text
from relbench_harness.authoring.name_words import has_key_suffix, is_named_after, words
from relbench_harness.authoring.sources import Reference
from relbench_harness.authoring.staging import Staged
from relbench_harness.authoring.table_choice import column_of
from relbench_harness.data.key_match import Form, common_form, key_sql
from relbench_harness.errors import InputError


def add_entities(
    entities: Mapping[str, Sequence[str]], staged: dict[str, Staged], scratch: Path, bench: Workbench
) -> dict[str, list[Reference]]:
    """Add a table for each of `entities` (name → TABLE.COLUMN, …) to `staged`.

    Returns:
        The foreign keys to the new tables, by table.

    Raises:
        InputError: A name that is taken, a column that is not there, or columns whose values cannot be compared.
    """
    columns = {name: one.schema.names for name, one in staged.items()}
    references: dict[str, list[Reference]] = {}
    for name, named in entities.items():
        if name.lower() in {n.lower() for n in staged}:
            raise InputError(f"--entity {name}: there is a table {name!r} already")
        if not named:
            raise InputError(f"--entity {name}: no column is named; it reads NAME=TABLE.COLUMN,…")
        places = [column_of(f"--entity {name}=", place, columns) for place in dict.fromkeys(named)]
        key = places[0][1]
        staged[name] = _table(name, key, places, staged, scratch / f"entity {len(references)} {len(staged)}.parquet", bench)
        for table, column in places:
            references.setdefault(table, []).append(Reference((column,), name, (key,)))
    return references


def _table(
    name: str, key: str, places: Sequence[tuple[str, str]], staged: Mapping[str, Staged], path: Path, bench: Workbench
) -> Staged:
    kinds = [staged[table].keyed(column) for table, column in places]
    first = kinds[0][1]
    forms = {common_form(first, kind) for _, kind in kinds}
    if None in forms:
        raise InputError(f"--entity {name}: the columns {', '.join('.'.join(p) for p in places)} cannot be compared")
    # a number that one table writes as text is a text everywhere; what else differs in type is a whole number
    form = next((f for f in (Form.TEXT, Form.WHOLE, Form.BYTES) if f in forms), Form.SAME)
    floats = form is Form.SAME and pa.types.is_floating(first)
    parts = [
        f"SELECT {key_sql(quoted(column), kind, Form.WHOLE if floats else form)} AS k FROM {quoted(table)}"
        for (table, _), (column, kind) in zip(places, kinds, strict=True)
    ]
    one = Staged(name, path, position="position_" if key.lower() == "position" else "position")
    bench.connection.execute(
        f"COPY (SELECT k AS {quoted(key)}, row_number() OVER (ORDER BY k) - 1 AS {quoted(one.position)} FROM "
        f"(SELECT DISTINCT k FROM ({' UNION ALL '.join(parts)}) WHERE k IS NOT NULL) ORDER BY k) "
        f"TO {text(str(path))} (FORMAT parquet)"
    )
    schema = pq.read_schema(path)
    one.schema = pa.schema([schema.field(key)])
    one.rows = int(pq.read_metadata(path).num_rows)
    bench.view(name, path)
    return one


def entity_hints(profiles: Mapping[str, Mapping[str, ColumnProfile]], settled: set[tuple[str, str]]) -> list[str]:
    """What to say of columns that are named like keys and whose values come back, though no table lists what they name.

    Args:
        settled: (table, column) pairs that are keys or foreign keys, or may be.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for table, profile in profiles.items():
        for column in profile.values():
            repeats = column.present >= 2 * max(column.distinct, 1) and column.distinct > 1
            fits = column.kind in ("whole", "text") and has_key_suffix(column.name) and words(column.name).endswith("_id")
            listed = any(is_named_after(column.name, other) for other in profiles)
            if repeats and fits and not listed and (table, column.name) not in settled:
                found.setdefault(words(column.name), []).append((table, column.name))
    hints = []
    for name, places in found.items():
        entity = name.removesuffix("_id")
        shown = ",".join(".".join(place) for place in places)
        hints.append(
            f"{shown.replace(',', ' and ')} name{'s' * (len(places) == 1)} rows of no table that is imported, as far as names tell; "
            f"where none lists them, --entity {entity}s={shown} makes a table of the different values"
        )
    return hints
