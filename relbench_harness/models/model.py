"""A kept model, and predictions from it on the database as it is now.

Invariant: an example sees every row before its own time and no label; what it is given is what a run in the rolling regime
gives an example of its test split, so training and serving agree.
"""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from relbench_harness.authoring.appended_rows import overlap_of
from relbench_harness.authoring.original_keys import original_keys
from relbench_harness.authoring.source_choice import open_source
from relbench_harness.data.database import Database
from relbench_harness.data.dataset import Dataset, open_dataset
from relbench_harness.data.population import NOW, complete_until, named_by, population, time_named
from relbench_harness.data.task import Task
from relbench_harness.errors import InputError, ResultWarning
from relbench_harness.models.answers import answer_table
from relbench_harness.models.bundle import MANIFEST, read_bundle
from relbench_harness.models.codec import Reader
from relbench_harness.models.codecs import CODECS, Opened, present_labels
from relbench_harness.models.current_rows import current_rows, is_source
from relbench_harness.models.keep import ENTITIES, ITEMS, SEEN
from relbench_harness.models.row_numbers import moved_rows, rows_of
from relbench_harness.models.schema import check_schema
from relbench_harness.models.task_facts import read_facts
from relbench_harness.progress import track
from relbench_harness.protocol.intervals import intervals_of
from relbench_harness.protocol.method import Examples, Predictor
from relbench_harness.protocol.stages import Seen, unlabelled
from relbench_harness.temporal.closed_labels import LabelsMade

CHUNK = 250_000
"""Examples that are predicted at a time: a method reads the database anew for each chunk, and holds the features of so many."""
CHUNK_OF_LISTS = 50_000
"""The same where each is answered by a list of items, which have features of their own."""
Who = tuple[NDArray[np.int64], NDArray[np.int64]]
"""(n,) row numbers of entities, and (n,) the times of the examples about them, in nanoseconds."""


@dataclass(frozen=True)
class Serving:
    """A model joined with a database.

    Attributes:
        shown: Every row, without the columns that no method may see.
        keys: The original keys of the rows of the entities' table, and of the items'.
        labels_made: The past labels of the examples before, which those after them often share.
    """

    dataset: Dataset
    shown: Database
    predictor: Predictor
    seen: Seen
    keys: tuple[pa.Table, pa.Table | None]
    labels_made: LabelsMade = field(default_factory=LabelsMade)
    _latest: list[Database] = field(default_factory=list)

    def examples(self, task: Task, who: Who) -> Examples:
        """Examples about `who`, each seeing every row before its own time.

        Where they see the same rows as those before them, they have the same database, and what was computed of it is known.
        """
        made = unlabelled(task, self.shown, who, self.seen)
        before = next(iter(self._latest), made.database)
        if all(len(table) == len(before[name]) for name, table in made.database.items()):
            made = replace(made, database=before)
        self._latest[:] = [made.database]
        return made


@dataclass(repr=False)
class Model:
    """A fitted method that was kept.

    Attributes:
        manifest: What is known of it: method, task, data, schema, versions.
    """

    folder: Path
    manifest: Mapping[str, Any]
    task: Task
    _files: Mapping[str, bytes]
    _serving: dict[str, Serving] = field(default_factory=dict)

    def __repr__(self) -> str:
        facts = self.manifest
        return f"<{facts['method']['name']} for {self.task.id}, kept {facts['created']}>"

    @property
    def complete_until(self) -> pd.Timestamp:
        """The time of the latest row that was there when it was fitted."""
        return pd.Timestamp(self.manifest["dataset"]["complete_until"])

    @property
    def fingerprint(self) -> str:
        """The same for the same kept model, wherever its folder lies."""
        return _hash(json.dumps(self.manifest, sort_keys=True, default=str).encode())

    def run_id(self, serving: Serving, who: Who) -> str:
        """The same for the same model, rows of the database, entities and times."""
        entity, time = (np.ascontiguousarray(part, np.int64).tobytes() for part in who)
        return _hash(self.fingerprint.encode(), serving.dataset.database.fingerprint.encode(), entity, time)

    def predict(
        self,
        about: str | pd.Timestamp | pd.DataFrame = NOW,
        entities: str | None = None,
        dataset: str | None = None,
        overlap: str | pd.Timedelta | None = None,
    ) -> pd.DataFrame:
        """Predictions with the keys of the source; of a recommendation one row per item.

        Args:
            about: A time, for all entities that the task is about then (`now` is the end of the data); or a table with the
                key columns of entities, at the times in the task's time column where it has that, else now.
            entities: SQL that yields the entities, where not all are wanted.
            dataset: Where the database lies, if not where the model was fitted: another dataset of its schema, or the URI of the
                source, which is imported.
            overlap: Of a source, read only rows that are later than those read before, less this span (`7d`); else all.
        """
        serving = self.serving(dataset, overlap)
        if isinstance(about, pd.DataFrame):
            who = self.named(
                serving, pa.Table.from_pandas(about, preserve_index=False), self.time(serving, NOW), "the table"
            )
        else:
            who = self.who(serving, self.time(serving, about), entities)
        found: pd.DataFrame = pa.concat_tables(self.answers(serving, who)).to_pandas()
        return found

    def serving(self, address: str | None = None, overlap: str | pd.Timedelta | None = None) -> Serving:
        """The model joined with the database at `address`, by default that of its dataset.

        A URI is imported anew, by the manifest of the model's own dataset; its rows stay as they are then.

        Args:
            overlap: Of a source, read only rows that are later than those read before, less this span; all where None.

        Raises:
            InputError: There is no such dataset, its schema is not that of the model, or the model cannot be read.
        """
        where = address or str(self.manifest["dataset"]["address"])
        if overlap is not None and (address is None or not is_source(address)):
            raise InputError(
                "only rows of a source can be appended: --from names the URI of a database or a folder of files"
            )
        if where not in self._serving:
            if address is None or not is_source(address):
                dataset = self._opened(where, None if address else "; --from names another")
                self._serving[where] = self._joined(dataset, f"dataset {dataset.name}")
            else:
                before = self._opened(str(self.manifest["dataset"]["address"]), ", whose manifest says how to import it")
                rows = current_rows(before, address, None if overlap is None else overlap_of(str(overlap)))
                self._serving[where] = self._joined(rows, open_source(address).label)
        return self._serving[where]

    def _opened(self, address: str, hint: str | None) -> Dataset:
        try:
            return open_dataset(address)
        except InputError as error:
            fitted = "" if hint is None else f" (that {self.folder} was fitted on{hint})"
            raise InputError(f"{error}{fitted}") from None

    def _joined(self, dataset: Dataset, what: str) -> Serving:
        check_schema(self.manifest["schema"], dataset.database, what)
        shown = self.task.visible_columns(dataset.database)
        table, item_table = self.task.entity_table, self.task.item_table
        entities = original_keys(dataset, table)
        items = None if item_table is None else original_keys(dataset, item_table)
        rows = moved_rows(self._keys(ENTITIES), entities, f"the kept model's keys of {table!r}")
        if (
            items is not None
            and moved_rows(self._keys(ITEMS), items, f"the kept model's keys of {item_table!r}") is not None
        ):
            raise InputError(
                f"the rows of table {item_table!r} are not those that {self.folder} knows, in their order; fit the model again"
            )
        bare = Opened(self.task, shown, None, rows)
        seen: Seen = Reader(CODECS, self._files, bare, SEEN).read()
        if not isinstance(seen, Seen):
            raise InputError(f"{self.folder} holds no examples' facts")
        if seen.training is not None:
            seen = seen._replace(training=present_labels(seen.training, rows))
        predictor = Reader(CODECS, self._files, bare._replace(training=seen.training)).read()
        if not isinstance(predictor, Predictor):
            raise InputError(f"{self.folder} holds a {type(predictor).__name__}, which predicts nothing")
        return Serving(dataset, shown, predictor, seen, (entities, items))

    def _keys(self, name: str) -> pa.Table:
        return pq.read_table(io.BytesIO(self._files[name]))

    # -- whom it predicts for ---------------------------------------------------------------------------------------------

    def time(self, serving: Serving, at: str | pd.Timestamp) -> pd.Timestamp:
        """The time that `at` names: `now` is the instant after the latest row, or the clock's where rows are dated ahead."""
        return time_named(at, serving.dataset.database)

    def _doubt(self, serving: Serving, who: Who) -> None:
        """Warns of times that predictions say little about."""
        first, last = pd.Timestamp(int(who[1].min())), pd.Timestamp(int(who[1].max()))
        learned, latest = pd.Timestamp(serving.seen.fit_end), complete_until(serving.dataset.database)
        if first < learned and not self.task.own_row_visible:
            self._warn(f"{first} lies before {learned}, until when the model has learned: it looks better there than it is")
        if last > latest + self.task.horizon:
            name = serving.dataset.name
            self._warn(f"the latest row of dataset {name} is of {latest}: nothing is known of the time until {last}")

    def _warn(self, sentence: str) -> None:
        warnings.warn(sentence, ResultWarning, stacklevel=4)

    def who(self, serving: Serving, t: pd.Timestamp, sql: str | None = None) -> Who:
        """Those that the task is about at `t`, or that `sql` yields."""
        if sql is None:
            entity, time, is_stand_in = population(self.task, serving.dataset.database, t)
            if is_stand_in:
                self._warn(
                    f"the SQL of task {self.task.id} names entities by rows that come after {t}; predictions are for all "
                    f"{len(entity):,} rows of table {self.task.entity_table!r}, and entities (--entities) chooses among them"
                )
            return entity, time
        rows = named_by(self.task, sql, serving.shown, t)
        return self._at(serving, rows, t)

    def named(self, serving: Serving, named: pa.Table, t: pd.Timestamp, what: str) -> Who:
        """Those whose original keys `named` holds, at `t` or at the times in its column of that name."""
        keys = serving.keys[0]
        if keys.num_columns == named.num_columns == 1:
            named = named.rename_columns(keys.column_names)
        rows = rows_of(keys, named, what)
        if len(absent := np.flatnonzero(rows < 0)):
            first = ", ".join(repr(named.column(name)[int(absent[0])].as_py()) for name in keys.column_names)
            raise InputError(f"{what} names {first}, which is not in table {self.task.entity_table!r}")
        if self.task.time_col not in named.column_names or self.task.time_col in keys.column_names:
            return self._at(serving, rows, t)
        times = named.column(self.task.time_col)
        try:
            at = pd.DatetimeIndex(pd.to_datetime(times.to_pandas(), utc=True)).tz_localize(None).as_unit("ns")
        except (ValueError, TypeError) as error:
            raise InputError(f"{what}: column {self.task.time_col!r} holds no times: {error}") from None
        if at.hasnans:
            raise InputError(f"{what}: column {self.task.time_col!r} lacks a time")
        return rows, at.asi8

    def _at(self, serving: Serving, rows: NDArray[np.int64], t: pd.Timestamp) -> Who:
        """Examples about the entities `rows` at `t`; in an autocomplete task each at the time of its own row."""
        times = serving.dataset.database[self.task.entity_table].times
        if self.task.own_row_visible and times is not None:
            return rows, times[rows]
        return rows, np.full(len(rows), t.as_unit("ns").value, np.int64)

    # -- what it predicts -------------------------------------------------------------------------------------------------

    def answers(self, serving: Serving, who: Who) -> Iterator[pa.Table]:
        """Predictions for `who`, chunk by chunk. Raises `InputError` where there is nobody."""
        if not len(who[0]):
            lacks = f" with {self.task.target!r} missing" if self.task.own_row_visible else ""
            raise InputError(f"there is nothing to predict: table {self.task.entity_table!r} has no row{lacks} then")
        self._doubt(serving, who)
        examples = serving.examples(self.task, who)
        chunk = CHUNK if self.task.item_table is None else CHUNK_OF_LISTS
        for start in track(range(0, len(examples), chunk), "chunks predicted"):
            part = examples.take(np.arange(start, min(start + chunk, len(examples))))
            with serving.labels_made.used():
                given = np.asarray(serving.predictor.predict(part))
            yield answer_table(part, given, serving.keys, intervals_of(serving.predictor))


def _hash(*parts: bytes) -> str:
    """16 hexadecimal digits."""
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "little") + part)
    return found.hexdigest()[:16]


def load_model(folder: str | Path) -> Model:
    """The model kept in `folder`.

    Raises:
        InputError: There is none that can be trusted: a file is missing or not the one that was kept, or its version is unknown.
    """
    path = Path(folder)
    manifest, files = read_bundle(path)
    for key in ("method", "task", "dataset", "schema", "created"):
        if key not in manifest:
            raise InputError(f"{path / MANIFEST} lacks {key!r}")
    return Model(path, manifest, read_facts(manifest["task"], str(path / MANIFEST)), files)
