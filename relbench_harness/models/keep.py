"""A run's fitted method on its way into a folder: the method's side makes files of it, the harness's adds what it knows.

Invariant: a model holds the labels of training where predictions may need them, and no row of the database.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from relbench_harness.authoring.original_keys import original_keys
from relbench_harness.data.dataset import Dataset
from relbench_harness.data.population import complete_until
from relbench_harness.data.task import Task
from relbench_harness.errors import InputError
from relbench_harness.models.bundle import write_bundle
from relbench_harness.models.codec import Writer
from relbench_harness.models.codecs import CODECS
from relbench_harness.models.schema import schema_of
from relbench_harness.models.task_facts import task_facts
from relbench_harness.protocol.method import Examples, Method, Predictor
from relbench_harness.protocol.result import Result
from relbench_harness.protocol.stages import Seen, Stages
from relbench_harness.protocol.work import Kept

SEEN = "examples"
"""The stem of the files of what examples to predict share with those of the run."""
ENTITIES, ITEMS = "entities.parquet", "items.parquet"
"""The original keys of the tables whose rows a model may name by number."""


def check_can_be_kept(method: Method) -> None:
    """Raises `InputError` where `method` itself cannot be written, as its fitted form then cannot be."""
    try:
        Writer(CODECS).write(method)
    except InputError as error:
        raise InputError(f"{type(method).__name__} cannot be kept, so save= cannot be set: {error}") from None


@dataclass
class Keeping:
    """Takes the fitted method of one run.

    Attributes:
        kept: Its files, once the run has ended well.
        seen: See `Seen`.
        run: What the harness knows of it.
    """

    kept: Kept | None = None
    seen: Seen | None = None
    run: tuple[Stages, Result] | None = None

    def files(self, predictor: Predictor) -> Mapping[str, bytes]:
        """The method's side."""
        return Writer(CODECS).write(predictor)

    def take(self, kept: Kept, test: Examples) -> None:
        """The harness's side."""
        self.kept = kept
        self.seen = Seen(test.regime, test.fit_end, test.classes, test.width, test.training)

    def describe(self, stages: Stages, result: Result) -> None:
        """Adds what the harness knows of the run."""
        self.run = stages, result

    def write(self, folder: Path) -> None:
        """Writes the model.

        Raises:
            InputError: The run failed, the method cannot be kept, or something else is in `folder`.
        """
        if self.kept is None or self.seen is None or self.run is None:
            raise InputError(f"{folder} was not written: the run failed, so there is no model to keep")
        if self.kept.refused:
            raise InputError(f"{folder} was not written: {self.kept.refused}")
        stages, result = self.run
        tables = {ENTITIES: stages.task.entity_table, ITEMS: stages.task.item_table}
        keys = {name: _parquet(original_keys(stages.dataset, table)) for name, table in tables.items() if table is not None}
        files = {**self.kept.files, **Writer(CODECS, SEEN).write(self.seen), **keys}
        write_bundle(folder, _facts(stages.dataset, stages.task, result), files)


def _facts(dataset: Dataset, task: Task, result: Result) -> dict[str, Any]:
    return {
        "harness": version("relbench-harness"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "method": {"name": result.method, "config": result.config},
        "task": task_facts(task),
        "metric": result.metric,
        "scores": {split: _number(scores.get(result.metric)) for split, scores in result.scores.items()},
        "regime": result.regime,
        "seed": result.seed,
        "fitted_on": result.fitted_on,
        "identity": result.identity,
        "notes": result.notes,
        "dataset": {
            "address": dataset.address,
            "fingerprint": dataset.database.fingerprint,
            "cuts": [str(dataset.cuts.val), str(dataset.cuts.test)],
            "complete_until": str(complete_until(dataset.database)),
        },
        "schema": schema_of(dataset.database),
        "versions": result.versions,
    }


def _number(score: float | None) -> float | None:
    return score if score is not None and math.isfinite(score) else None


def _parquet(keys: pa.Table) -> bytes:
    with io.BytesIO() as file:
        pq.write_table(keys, file, compression="zstd")
        return file.getvalue()
