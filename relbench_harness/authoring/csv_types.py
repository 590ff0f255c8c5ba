"""What the texts of a CSV column stand for, decided on all of its rows.

A type is taken only where every value reads as that type and no other reading fits as well: codes with leading zeros, a number
column with one word in it, and dates whose day and month could change places all stay text. Words for a missing value (NULL, NA,
N/A, -) are no values where all others read as a type; in a column of texts they stand, for NA may be a country.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import duckdb

from relbench_harness.authoring.identifiers import text

_COLUMNS_AT_ONCE, _TESTS_AT_ONCE = 40, 60
"""Columns and tests of one query, which bounds its memory; DuckDB's time to plan it grows with the square of its tests."""
_TEXTS_AT_ONCE = 4
"""Columns of texts that are tested at once as if words for missing values were null; planning takes long here, too."""
SAMPLE = 5_000
"""Rows looked at first; a type that they refute is not tested on the others."""

_CLOCK = r"([ T]\d{1,2}:\d{2}(:\d{2}(\.\d{1,9})?)?)"
_ZONE = r"\s*(Z|[+-]\d{2}(:?\d{2})?)"
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S")


@dataclass(frozen=True)
class Kind:
    """A type a column may have.

    Attributes:
        test: SQL over the text `{}` that is true where it reads so.
        cast: SQL of the value itself.
        semicolon: Only in files whose fields are separated by semicolons.
    """

    name: str
    test: str
    cast: str
    semicolon: bool = False


def _dates(name: str, pattern: str) -> Kind:
    formats = "[" + ", ".join(text(pattern + clock) for clock in _CLOCKS) + "]"
    cast = f"try_strptime(trim({{}}), {formats})"
    shape = pattern.replace("%Y", r"\d{4}").replace("%m", r"\d{1,2}").replace("%d", r"\d{1,2}").replace(".", r"\.")
    looks_so = _matching(rf"\s*{shape}([ T].*)?")
    # only what looks so is parsed, which takes long
    return Kind(name, f"CASE WHEN {looks_so} THEN {cast} IS NOT NULL ELSE false END", cast)


def _matching(pattern: str) -> str:
    return f"regexp_full_match({{}}, {text(pattern.replace('{', '{{').replace('}', '}}'))})"


_GROUPED = r"(0|[1-9][0-9]*|[1-9][0-9]{0,2}(,[0-9]{3})+)"
_DIGITS = "CAST(regexp_replace({}, '[^0-9.+-]', '', 'g') AS DOUBLE)"
_WORDS = ("null", "na", "n/a", "#n/a", "<na>", "nan", "nat", "none", "nil", "-", "--", ".", "?")
_WHOLE = _matching(r"\s*[+-]?(0|[1-9][0-9]*)\s*")
_DAY_FIRST, _MONTH_FIRST = "day first", "month first"

KINDS = (
    Kind("whole", f"{_WHOLE} AND TRY_CAST(trim({{}}) AS BIGINT) IS NOT NULL", "CAST(trim({}) AS BIGINT)"),
    Kind("large", f"{_WHOLE} AND TRY_CAST(trim({{}}) AS HUGEINT) IS NOT NULL", "CAST(trim({}) AS HUGEINT)"),
    Kind(
        "number",
        f"(NOT ({_WHOLE} AND length({{}}) > 38) AND "
        + _matching(r"(?i)\s*[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]+)?\s*")
        + " OR "
        + _matching(r"(?i)\s*([+-]?inf(inity)?|nan)\s*")
        + ")",
        "CAST(trim({}) AS DOUBLE)",
    ),
    Kind(
        "decimal comma",
        _matching(r"\s*[+-]?(0|[1-9][0-9]*)(,[0-9]+)?\s*"),
        "CAST(replace(trim({}), ',', '.') AS DOUBLE)",
        semicolon=True,
    ),
    Kind("amount", _matching(rf"\s*[+-]?\s?[$€£¥]\s?[+-]?{_GROUPED}(\.[0-9]+)?\s*"), _DIGITS),
    Kind("percentage", _matching(r"\s*[+-]?[0-9]+(\.[0-9]+)?\s?%\s*"), _DIGITS),
    Kind("grouped number", _matching(rf"\s*[+-]?{_GROUPED}\.[0-9]+\s*"), _DIGITS),
    Kind(
        "grouped decimal comma",
        _matching(rf"\s*[+-]?{_GROUPED.replace(',', '.').replace('.', chr(92) + '.')},[0-9]+\s*"),
        "CAST(replace(replace(trim({}), '.', ''), ',', '.') AS DOUBLE)",
        semicolon=True,
    ),
    Kind("flag", "lower(trim({})) IN ('true', 'false')", "CAST(trim({}) AS BOOLEAN)"),
    Kind("date", _matching(r"\s*\d{4}-\d{2}-\d{2}\s*") + " AND TRY_CAST({} AS DATE) IS NOT NULL", "CAST({} AS DATE)"),
    Kind(
        "time",
        _matching(rf"\s*\d{{4}}-\d{{2}}-\d{{2}}{_CLOCK}?\s*") + " AND TRY_CAST({} AS TIMESTAMP) IS NOT NULL",
        "CAST({} AS TIMESTAMP)",
    ),
    Kind(
        "time with zone",
        _matching(rf"\s*\d{{4}}-\d{{2}}-\d{{2}}{_CLOCK}{_ZONE}\s*") + " AND TRY_CAST({} AS TIMESTAMPTZ) IS NOT NULL",
        "CAST({} AS TIMESTAMPTZ)",
    ),
    _dates("year first", "%Y/%m/%d"),
    _dates("dotted", "%d.%m.%Y"),
    _dates(f"{_DAY_FIRST} /", "%d/%m/%Y"),
    _dates(f"{_MONTH_FIRST} /", "%m/%d/%Y"),
    _dates(f"{_DAY_FIRST} -", "%d-%m-%Y"),
    _dates(f"{_MONTH_FIRST} -", "%m-%d-%Y"),
)


Tests = dict[int, tuple[Kind, ...]]
"""Number of a column → the types that it may still have."""


@dataclass(frozen=True)
class ColumnType:
    """A column's type.

    Attributes:
        cast: SQL of its values over the text `{}`.
        missing: Whether no row has a value.
        words: How many rows hold a word for a missing value, which is null here.
        ambiguous: Whether its dates read with the day first and with the month first, so that they stay text.
    """

    cast: str = "{}"
    missing: bool = False
    words: int = 0
    ambiguous: bool = False

    def of(self, column: str) -> str:
        """The SQL of `column` as this type."""
        return _filled(self.cast, column)


def column_types(
    connection: duckdb.DuckDBPyConnection, rows: str, columns: Sequence[str], semicolon: bool
) -> list[ColumnType]:
    """The type of each of `columns`, which are texts of the relation `rows`, null where a field is empty."""
    kinds = [k for k in KINDS if semicolon or not k.semicolon]
    found = _types(connection, rows, columns, kinds)
    texts = [index for index, kind in enumerate(found) if kind == ColumnType()]
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        some = texts[start : start + _TEXTS_AT_ONCE]
        names = [columns[index] for index in some]
        known = f"(SELECT {', '.join(f'{_known(c)} AS {c}' for c in names)} FROM {rows})"
        again = _types(connection, known, names, kinds)
        typed = [(i, name, kind) for i, name, kind in zip(some, names, again, strict=True) if kind.cast != "{}"]
        if typed:
            counts = ", ".join(f"count({name}) - count({_known(name)})" for _, name, _ in typed)
            words = connection.execute(f"SELECT {counts} FROM {rows}").fetchall()[0]
            for (i, _, kind), count in zip(typed, words, strict=True):
                found[i] = ColumnType(_filled(kind.cast, _known("{}")), words=count)
    return found


def _known(column: str) -> str:
    """A text that is null where it is a word for a missing value."""
    return f"CASE WHEN lower(trim({column})) NOT IN ({', '.join(text(word) for word in _WORDS)}) THEN {column} END"


def _types(
    connection: duckdb.DuckDBPyConnection, rows: str, columns: Sequence[str], kinds: Sequence[Kind]
) -> list[ColumnType]:
    tests: Tests = {index: tuple(kinds) for index in range(len(columns))}
    first = f"(SELECT {', '.join(columns)} FROM {rows} LIMIT {SAMPLE})"
    present, held = _held(connection, first, columns, tests)
    # a column with a value that is of no type is a text, whatever its other rows hold
    open_tests = {index: left for index, left in held.items() if left or index not in present}
    further, last = _held(connection, rows, columns, open_tests)
    return [_type(index in present | further, last.get(index, ())) for index in range(len(columns))]


def _held(connection: duckdb.DuckDBPyConnection, rows: str, columns: Sequence[str], tests: Tests) -> tuple[set[int], Tests]:
    """The columns with a value, and those of `tests` that all values pass."""
    present, held = set[int](), dict[int, tuple[Kind, ...]]()
    for part in _parts(tests):
        wanted = [(index, kind) for index in part for kind in tests[index]]
        counts = [f"count({columns[index]})" for index in part]
        passed = [f"bool_and({_filled(k.test, columns[i])}) FILTER ({columns[i]} IS NOT NULL)" for i, k in wanted]
        row = connection.execute(f"SELECT {', '.join(counts + passed)} FROM {rows}").fetchall()[0]
        present.update(index for index, count in zip(part, row, strict=False) if count)
        right = [test for test, holds in zip(wanted, row[len(part) :], strict=True) if holds is not False]
        held.update({index: tuple(kind for at, kind in right if at == index) for index in part})
    return present, held


def _parts(tests: Tests) -> Iterator[list[int]]:
    """The columns in parts for one query each."""
    part, many = list[int](), 0
    for index, kinds in tests.items():
        if part and (many + len(kinds) > _TESTS_AT_ONCE or len(part) == _COLUMNS_AT_ONCE):
            yield part
            part, many = [], 0
        part.append(index)
        many += len(kinds)
    if part:
        yield part


def _filled(sql: str, column: str) -> str:
    return sql.replace("{}", column).replace("{{", "{").replace("}}", "}")


def _type(present: bool, kinds: Sequence[Kind]) -> ColumnType:
    if not present:
        return ColumnType(missing=True)
    if not kinds:
        return ColumnType()
    if {k.name.rpartition(" ")[0] for k in kinds} >= {_DAY_FIRST, _MONTH_FIRST}:
        return ColumnType(ambiguous=True)
    return ColumnType(kinds[0].cast)
