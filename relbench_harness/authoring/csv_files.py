"""CSV files, read strictly: every line has the fields that the header names, or the import names the line that has not.

The delimiter is read off the header, never guessed from the rows, and no line is passed over or padded.
"""

from __future__ import annotations

import csv
import gzip
import io
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, cast

import duckdb
import pyarrow as pa

from relbench_harness.authoring.csv_types import ColumnType, column_types
from relbench_harness.authoring.identifiers import text
from relbench_harness.errors import InputError

BATCH = 100_000
DELIMITERS = (",", ";", "\t", "|")
_LOOKED_AT = 200
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Layout:
    """How a file is laid out: what separates its fields, what its header calls them ('' where it says nothing), and whether
    quotation marks hold a field together or are letters like any other."""

    delimiter: str
    names: tuple[str, ...]
    quoted: bool = True

    def records(self, file: IO[str]) -> Any:
        """A reader of the file's records."""
        if self.quoted:
            return csv.reader(file, delimiter=self.delimiter, strict=True)
        return csv.reader(file, delimiter=self.delimiter, quoting=csv.QUOTE_NONE, strict=True)


def csv_batches(paths: Sequence[Path], notes: list[str]) -> Iterator[pa.RecordBatch]:
    """The rows of a table that lies in `paths`, files of one header; one empty batch where there are none.

    Args:
        notes: Takes what a reader of the import should know.

    Raises:
        InputError: A file that cannot be read, with the file, the line and what is wrong there.
    """
    layout = _layout(paths[0])
    for path in paths[1:]:
        if _layout(path) != layout:
            raise InputError(
                f"line 1 of {path} names other columns than {paths[0].name}, or separates them otherwise; the files of one folder "
                f"are one table (--exclude {path.parent.name} leaves it out)"
            )
    with tempfile.TemporaryDirectory() as folder:
        layout, mixed = _checked(paths, layout, notes)
        plain, delimiter, quoted = list(paths), layout.delimiter, layout.quoted
        if any(mixed):
            # the parser of types takes line ends of one kind only
            plain = [_rewritten(path, layout, Path(folder) / f"{index}.csv") for index, path in enumerate(paths)]
            delimiter, quoted = ",", True
        try:
            yield from _read(plain, delimiter, quoted, _Header(paths[0], layout, notes))
        except duckdb.Error as error:
            raise InputError(f"{paths[0]} cannot be read as CSV: {' '.join(str(error).split())[:300]}") from None


def _read(paths: Sequence[Path], delimiter: str, quoted: bool, header: _Header) -> Iterator[pa.RecordBatch]:
    names = header.layout.names
    columns = [f"c{index}" for index in range(len(names))]
    declared = "{" + ", ".join(f"{text(c)}: 'VARCHAR'" for c in columns) + "}"
    listed = "[" + ", ".join(text(_literal(path)) for path in paths) + "]"
    mark = text('"' if quoted else "")
    rows = (
        f"read_csv({listed}, auto_detect=false, header=true, skip=0, delim={text(delimiter)}, quote={mark}, "
        f"escape={mark}, nullstr=['', '\\N'], columns={declared}, strict_mode=true, null_padding=false, ignore_errors=false)"
    )
    with duckdb.connect() as connection:
        connection.execute(
            "SET enable_progress_bar = false; SET TimeZone = 'UTC'; SET memory_limit = '768MB'; SET threads = 2"
        )
        types = column_types(connection, rows, columns, header.layout.delimiter == ";")
        counting = {i for i, name in enumerate(names) if not name and _counts_rows(connection, rows, columns[i])}
        kept = header.kept(types, counting)
        select = ", ".join(f"{types[i].of(columns[i])} AS {columns[i]}" for i in kept)
        reader = connection.sql(f"SELECT {select} FROM {rows}").to_arrow_reader(BATCH)
        schema = pa.schema([f.with_name(names[i]) for f, i in zip(reader.schema, kept, strict=True)])
        yield pa.RecordBatch.from_pylist([], schema=schema)
        for batch in reader:
            yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)


def _counts_rows(connection: duckdb.DuckDBPyConnection, rows: str, column: str) -> bool:
    value = f"TRY_CAST({column} AS BIGINT)"
    sql = f"SELECT count(*) = count(DISTINCT {value}) AND max({value}) - min({value}) = count(*) - 1 FROM {rows}"
    return bool(connection.execute(sql).fetchall()[0][0])


@dataclass(frozen=True)
class _Header:
    """What the header of a table's first file says, and what it leaves open."""

    path: Path
    layout: Layout
    notes: list[str]

    def kept(self, types: Sequence[ColumnType], counting: set[int]) -> list[int]:
        """The columns that are read: those with a name. One without may only be empty or count the rows."""
        names = self.layout.names
        for index, (name, kind) in enumerate(zip(names, types, strict=True)):
            if name and kind.ambiguous:
                self.notes.append(
                    f"{self.path.name}: the dates of {name!r} read with the day first and with the month first, so they stay "
                    f"text; --time TABLE={name}:%d/%m/%Y or :%m/%d/%Y settles it"
                )
            if name and kind.words:
                self.notes.append(
                    f"{self.path.name}: {kind.words:,} words for a missing value in {name!r} are null (NULL, NA, -, …)"
                )
            if not name and not kind.missing and index not in counting:
                raise InputError(f"line 1 of {self.path} gives column {index + 1} no name, though the column has values")
        if not all(names):
            self.notes.append(f"{self.path.name}: a column without a name that is empty, or counts the rows, is left out")
        return [index for index, name in enumerate(names) if name]


def _literal(path: Path) -> str:
    """`path` for a function that reads wildcards in names."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in str(path))


# -- layout -------------------------------------------------------------------------------------------------------------------


def _opened(path: Path) -> IO[str]:
    return io.TextIOWrapper(_bytes(path), encoding="utf-8-sig", newline="")


def _bytes(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.suffix.lower() == ".gz" else path.open("rb")


def _layout(path: Path) -> Layout:
    """The layout of `path`, from its header. Raises `InputError` where the header is none."""
    csv.field_size_limit(sys.maxsize)
    try:
        with _opened(path) as file:
            head = file.read(1 << 20)
    except UnicodeDecodeError:
        raise _encoding(path) from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    if not head.strip():
        raise InputError(f"{path} is empty; the first line of a CSV file names its columns")
    layouts = {d: names for d in DELIMITERS if (names := _header(head, d)) is not None}
    if not layouts:
        raise InputError(f"line 1 of {path}: a quotation mark is never closed")
    delimiter = _delimiter(path, head, layouts)
    names = layouts[delimiter]
    _check_header(path, names)
    return Layout(delimiter, names)


def _header(head: str, delimiter: str) -> tuple[str, ...] | None:
    try:
        records = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter, strict=True)
        return tuple(name.strip() for name in next(records, []))
    except csv.Error:
        return None


def _delimiter(path: Path, head: str, layouts: dict[str, tuple[str, ...]]) -> str:
    """What separates the header's fields; of several, what the first rows bear out, then what makes the most fields."""
    if ".tsv" in path.name.lower() and len(layouts.get("\t", ())) > 1:
        return "\t"
    several = [d for d in layouts if len(layouts[d]) > 1] or [","]
    return max(several, key=lambda d: (_borne_out(head, d, len(layouts[d])), len(layouts[d]), -DELIMITERS.index(d)))


def _borne_out(head: str, delimiter: str, fields: int) -> bool:
    """Whether the whole lines of `head` have as many fields as its header."""
    reader = csv.reader(io.StringIO(head[: head.rfind("\n") + 1], newline=""), delimiter=delimiter)
    try:
        return all(not row or len(row) == fields for row, _ in zip(reader, range(_LOOKED_AT), strict=False))
    except csv.Error:
        return False


def _check_header(path: Path, names: Sequence[str]) -> None:
    seen: dict[str, int] = {}
    for position, name in enumerate(names, 1):
        if name and name.lower() in seen:
            raise InputError(f"line 1 of {path} names {name!r} twice: columns {seen[name.lower()]} and {position}")
        seen[name.lower()] = position
    if all(_is_value(name) for name in names):
        raise InputError(f"line 1 of {path} holds values ({', '.join(names[:3])}), where the columns' names are expected")


def _is_value(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


# -- faults -------------------------------------------------------------------------------------------------------------------


def _checked(paths: Sequence[Path], layout: Layout, notes: list[str]) -> tuple[Layout, list[bool]]:
    """The layout that all lines fit, and which of `paths` mix kinds of line ends.

    Fields that tabs separate are read without quotation marks where they do not fit with them: dumps write them so.
    """
    try:
        return layout, [_check_lines(path, layout) for path in paths]
    except InputError:
        plain = replace(layout, quoted=False)
        if layout.delimiter != "\t" or any(_layout(path).names != plain.names for path in paths):
            raise
        try:
            mixed = [_check_lines(path, plain) for path in paths]
        except InputError:
            mixed = []
        if not mixed:
            raise
    notes.append(f"{paths[0].name}: quotation marks are letters of its texts, since its lines fit the header only so")
    return plain, mixed


def _check_lines(path: Path, layout: Layout) -> bool:
    """Whether `path` mixes kinds of line ends. Raises `InputError` with the first line that is at fault."""
    try:
        with _opened(path) as file:
            reader = layout.records(file)
            line, fields = 1, len(layout.names)
            try:
                for record in reader:
                    if len(record) != fields and record:
                        _refuse(path, line, record, layout)
                    line = reader.line_num + 1
            except csv.Error as error:
                never = "end of data" in str(error)
                what = "the quotation that begins there is never closed" if never else "a quotation ends within a field"
                raise InputError(f"line {line} of {path}: {what}") from None
            return isinstance(getattr(file, "newlines", None), tuple)
    except UnicodeDecodeError:
        raise _encoding(path) from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read: {error}") from None


def _refuse(path: Path, line: int, record: Sequence[str], layout: Layout) -> None:
    found, wanted = len(record), len(layout.names)
    shown = layout.delimiter.join(record)
    shown = shown if len(shown) <= 80 else shown[:79] + "…"
    name = {"\t": "tabs"}.get(layout.delimiter, repr(layout.delimiter))
    raise InputError(
        f"line {line} of {path} has {found} field{'s' * (found != 1)} separated by {name}, its header {wanted}: {shown!r}; "
        "a field that holds the separator stands between quotation marks"
    )


def _encoding(path: Path) -> InputError:
    with _bytes(path) as file:
        for number, line in enumerate(file, 1):
            if number == 1 and line.startswith(_UTF16):
                return InputError(f"{path} is UTF-16 from line 1 on; save it as UTF-8")
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                near = line[max(error.start - 20, 0) : error.start + 20]
                return InputError(f"line {number} of {path} is not UTF-8 (near {near!r}); save the file as UTF-8")
    return InputError(f"{path} is not UTF-8; save it as UTF-8")


def _rewritten(path: Path, layout: Layout, copy: Path) -> Path:
    """The same records with line ends of one kind."""
    with _opened(path) as file, copy.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out, lineterminator="\n").writerows(r for r in layout.records(file) if r)
    return copy
