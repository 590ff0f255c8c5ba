"""Predictions of a kept model by the workers of a Spark cluster.

The entities are divided into chunks, and each chunk is predicted where Spark likes by the code that predicts it on one machine. So a
prediction is the same wherever it is made. A worker opens model and database once and keeps them for its later chunks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from relbench_harness.data.population import NOW
from relbench_harness.errors import InputError
from relbench_harness.models.model import CHUNK, Model, Serving, load_model

ENTITY, TIME = "entity", "time"


def predict_on_spark(
    spark: Any, model: str | Path, at: str | pd.Timestamp = NOW, dataset: str | None = None, chunk: int = CHUNK
) -> Any:
    """A Spark data frame of predictions, with the columns of `Model.predict` and in no order.

    Args:
        spark: A session. Its workers have this package installed.
        model: The model's folder, where every worker finds it.
        at: The time to predict at, for all entities that the task is about then.
        dataset: A name or folder of a dataset that every worker finds; by default the one that the model was fitted on. Each machine
            keeps its own cache of it.
        chunk: How many entities are predicted at a time: what a worker holds grows with it.

    Raises:
        InputError: The model or the dataset cannot be read, there is nobody to predict for, or the chunk is empty.
    """
    from pyspark.sql.pandas.types import from_arrow_schema

    if chunk < 1:
        raise InputError(f"a chunk has at least 1 entity, not {chunk}")
    work = _Work(str(Path(model).resolve()), dataset)
    known, serving = work.opened()
    who = known.who(serving, known.time(serving, at))
    first = next(known.answers(serving, (who[0][:1], who[1][:1])))
    schema = _for_spark(first).schema
    parts = -(-len(who[0]) // chunk)
    rows = pa.table({"part": np.arange(len(who[0])) // chunk, ENTITY: who[0], TIME: who[1]})
    frame = spark.createDataFrame(rows).repartitionByRange(parts, "part")
    return frame.mapInArrow(_Chunks(work, schema, chunk), from_arrow_schema(schema))


@dataclass(frozen=True)
class _Work:
    """What a worker opens.

    Attributes:
        folder: Of the model.
        dataset: None for the one that the model was fitted on.
    """

    folder: str
    dataset: str | None

    def opened(self) -> tuple[Model, Serving]:
        return _opened(self.folder, self.dataset)


@cache
def _opened(folder: str, dataset: str | None) -> tuple[Model, Serving]:
    model = load_model(folder)
    return model, model.serving(dataset)


@dataclass(frozen=True)
class _Chunks:
    """Predicts the entities of one part of the data."""

    work: _Work
    schema: pa.Schema
    chunk: int

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        given = [batch for batch in batches if batch.num_rows]
        if not given:
            return
        model, serving = self.work.opened()
        rows = pa.Table.from_batches(given).sort_by(ENTITY)
        for start in range(0, rows.num_rows, self.chunk):
            part = rows.slice(start, self.chunk)
            who = (part.column(ENTITY).to_numpy(), part.column(TIME).to_numpy())
            for answers in model.answers(serving, who):
                yield from _for_spark(answers).cast(self.schema).to_batches()


def _for_spark(answers: pa.Table) -> pa.Table:
    """Times in microseconds and texts of the plain type, as Spark has them."""
    for index, column in enumerate(answers.schema):
        kind = column.type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        if pa.types.is_timestamp(kind):
            kind = pa.timestamp("us", kind.tz)
        elif pa.types.is_large_string(kind):
            kind = pa.string()
        elif pa.types.is_unsigned_integer(kind):
            kind = pa.int64()
        if kind != column.type:
            answers = answers.set_column(index, column.name, answers.column(index).cast(kind, safe=False))
    return answers
