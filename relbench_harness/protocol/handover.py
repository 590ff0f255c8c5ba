"""What a method may see, as files: written by the harness, read memory-mapped by the process that the method runs in.

Invariant: a folder that is handed over holds no row and no column that its examples may not see. Tables are cut physically:
each is one Arrow file with the longest prefix that any of the examples handed over together sees, foreign keys to rows past the
cut are null in it, and the databases of the others are prefixes of it. Labels go only where `Examples` have them.

A cut table is written once, under the cache home, and has a second name (a hard link) in every folder that hands it over.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from relbench_harness.data.cache import cache_home
from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.data.writing import link_or_copy, whole
from relbench_harness.errors import InputError, sentence
from relbench_harness.protocol.method import Examples, TrainingLabels

FORMAT = 1
EXAMPLES = "examples.pickle"


@dataclass(frozen=True)
class _TableEntry:
    """A table without its rows, and the stem of the file that holds them."""

    bare: Table
    file: str


@dataclass(frozen=True)
class _Contents:
    """What `EXAMPLES` holds.

    Attributes:
        examples: Name → examples with an empty database.
        prefixes: Name → table → rows that these examples see.
        tables: The cut tables.
        held: Names of examples whose `training` is the one that was handed over before.
    """

    examples: Mapping[str, Examples]
    prefixes: Mapping[str, Mapping[str, int]]
    tables: tuple[_TableEntry, ...]
    held: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Handover:
    """Writes examples into folders.

    Attributes:
        database: Every row, without hidden columns: what the examples' databases are cut from.
        fingerprint: That of the dataset; with the cut it names a table's file in the cache.
    """

    database: Database
    fingerprint: str
    _held: list[TrainingLabels] = field(default_factory=list)

    def write(self, folder: Path, examples: Mapping[str, Examples]) -> None:
        """Writes `examples`, by name, into `folder`, which is made.

        Training labels that an earlier call has handed over are not written again.

        Raises:
            InputError: The files cannot be written.
        """
        prefixes = {name: {t: len(table) for t, table in one.database.items()} for name, one in examples.items()}
        longest = {table: max(counts[table] for counts in prefixes.values()) for table in self.database}
        cut = self.database.prefixes(longest)
        held = frozenset(name for name, one in examples.items() if any(one.training is known for known in self._held))
        bare = {
            name: replace(one, database=Database([]), training=None if name in held else one.training)
            for name, one in examples.items()
        }
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tables = tuple(self._table(folder / str(number), cut[name], longest) for number, name in enumerate(cut))
            with whole(folder / EXAMPLES) as file:
                pickle.dump(_Contents(bare, prefixes, tables, held), file, protocol=5)
        except OSError as error:
            raise InputError(f"what a method may see cannot be written to {folder}: {sentence(error)}") from None
        self._held.extend(one.training for name, one in examples.items() if one.training is not None and name not in held)

    def _table(self, stem: Path, table: Table, longest: Mapping[str, int]) -> _TableEntry:
        """Puts the rows of a cut table into the file `stem`. The keys of the source are no feature and stay here."""
        parents = [(column, parent, longest[parent]) for column, parent in sorted(table.references.items())]
        cut = repr((FORMAT, self.fingerprint, table.name, len(table), table.rows.schema.to_string(), parents))
        digest = hashlib.blake2b(cut.encode(), digest_size=20).hexdigest()
        _put(stem.with_name(f"{stem.name}.arrow"), f"{digest}.arrow", table.rows)
        bare = replace(table, rows=table.rows.schema.empty_table(), origin=None)
        return _TableEntry(bare, stem.name)


@dataclass
class Reader:
    """Reads what a `Handover` wrote, folder by folder in the order in which they were written."""

    _held: list[TrainingLabels] = field(default_factory=list)

    def read(self, folder: Path) -> dict[str, Examples]:
        """Name → examples, their tables memory-mapped."""
        with (folder / EXAMPLES).open("rb") as file:
            contents: _Contents = pickle.load(file)
        database = Database([_read_table(folder, entry) for entry in contents.tables])
        found = {}
        for name, bare in contents.examples.items():
            training = self._held[0] if name in contents.held else bare.training
            if training is not None and name not in contents.held:
                self._held.append(training)
            found[name] = replace(bare, database=database.prefixes(contents.prefixes[name]), training=training)
        return found


def _put(path: Path, name: str, rows: pa.Table) -> None:
    """Gives the file of the cache called `name`, which is written where it is not there, the name `path` as well."""
    kept = cache_home() / "views" / name
    if not kept.is_file():
        alone = pa.table([_without_other_values(column) for column in rows.columns], schema=rows.schema)
        with whole(kept) as file, pa.ipc.new_file(file, rows.schema) as writer:
            writer.write_table(alone)
        kept.chmod(0o444)
    link_or_copy(kept, path)


def _without_other_values(column: pa.ChunkedArray) -> pa.Array:
    """The column in one piece; the dictionary of one that is encoded so holds only values that occur in its rows."""
    if column.num_chunks == 1:
        array = column.chunk(0)
    else:
        array = pa.concat_arrays(column.unify_dictionaries().chunks) if column.num_chunks else pa.array([], column.type)
    if not pa.types.is_dictionary(array.type):
        return array
    used = pc.drop_null(pc.unique(array.indices)).sort()
    if len(used) == len(array.dictionary):
        return array
    codes = pc.index_in(array.indices, used).cast(array.type.index_type)
    return pa.DictionaryArray.from_arrays(codes, array.dictionary.take(used), ordered=array.type.ordered)


def _read_table(folder: Path, entry: _TableEntry) -> Table:
    return replace(entry.bare, rows=_read_arrow(folder / f"{entry.file}.arrow"))


def _read_arrow(path: Path) -> pa.Table:
    with pa.memory_map(str(path), "r") as source:
        return pa.ipc.open_file(source).read_all()
