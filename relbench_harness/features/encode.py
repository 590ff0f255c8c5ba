"""How one column of a table becomes features for trees, fitted on known rows only.

Trees read a column by its kind, which follows from its semantic type (`data.stypes`): declared types count, and a column
that networks leave out is left out here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from relbench_harness.data.columns import by_frequency, ticks
from relbench_harness.data.stypes import Stype, is_list, is_number, is_text, parsed, parsed_days, plain, stype_of
from relbench_harness.data.table import Table
from relbench_harness.features.block import Column

DAY = 86_400_000_000_000
"""Nanoseconds of a day."""
HOUR = DAY // 24
MISSING = np.iinfo(np.int64).min
"""What `instants` returns for a null."""


class ColumnKind(StrEnum):
    """What trees read a column as."""

    NUMBER = "number"
    INSTANT = "instant"
    CATEGORY = "category"
    TEXT = "text"


def physical(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """`values` without dictionary encoding."""
    return values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values


def kind_of(table: Table, column: str) -> ColumnKind | None:
    """What trees read a column of `table` as; None where it is left out.

    A category is read by name where its values are texts or the manifest declares it categorical. An integer or boolean that
    is inferred to be categorical is an ordered code and stays a number: trees split it anywhere. A time of day is a number.
    A list is its length; a text that is declared multicategorical is a text.
    """
    stype = stype_of(table, column)
    if stype is None:
        return None
    stored = plain(table.rows.column(column)).type
    if stype is Stype.categorical:
        return ColumnKind.CATEGORY if is_text(stored) or column in table.stypes else ColumnKind.NUMBER
    if stype is Stype.text_embedded or (stype is Stype.multicategorical and is_text(stored)):
        return ColumnKind.TEXT
    if stype is Stype.timestamp and not pa.types.is_time(stored):
        return ColumnKind.INSTANT
    return ColumnKind.NUMBER


def numbers(values: pa.ChunkedArray) -> NDArray[np.float64]:
    """(rows,) values of a NUMBER column with NaN for null; lists by their length, durations in seconds, texts as parsed."""
    values = plain(values)
    if is_text(values.type):
        values = parsed(values)
    elif is_list(values.type):
        values = pc.list_value_length(values)
    elif pa.types.is_duration(values.type):
        values = pc.divide(values.cast(pa.duration("ns")).cast(pa.int64()).cast(pa.float64(), safe=False), 1e9)
    elif pa.types.is_temporal(values.type):
        values = ticks(values)
    floats = values.cast(pa.float64(), safe=False)
    found = np.asarray(pc.fill_null(floats, np.nan).to_numpy(), dtype=np.float64)
    return np.where(np.isinf(found), np.nan, found)


def instants(values: pa.ChunkedArray) -> NDArray[np.int64]:
    """(rows,) nanoseconds since 1970 of an INSTANT column, `MISSING` for null and for what lies outside 1677 to 2262.

    Numbers that are declared to be timestamps are seconds since 1970, texts are days such as `2020-12-31`.
    """
    values = plain(values)
    if is_text(values.type):
        values = parsed_days(values)
    elif is_number(values.type):
        seconds = values.cast(pa.float64(), safe=False)
        inside = pc.less(pc.abs(seconds), float(2**62))
        values = pc.if_else(inside, seconds, None).cast(pa.int64(), safe=False).cast(pa.timestamp("s"))
    zone = getattr(values.type, "tz", None)
    try:
        exact = values.cast(pa.timestamp("ns", tz=zone)).cast(pa.int64())
    except pa.ArrowInvalid:
        micros = values.cast(pa.timestamp("us", tz=zone), safe=False).cast(pa.int64())
        inside = pc.and_(pc.greater(micros, -(2**63) // 1000), pc.less(micros, 2**63 // 1000))
        exact = pc.multiply(pc.if_else(inside, micros, None), 1000)
    return np.asarray(pc.fill_null(exact, MISSING).to_numpy(), dtype=np.int64)


@dataclass(frozen=True)
class Encoder:
    """How one column is read.

    Attributes:
        vocabulary: Categories, or the words of a text whose presence is a feature; most frequent first.
    """

    column: str
    kind: ColumnKind
    vocabulary: tuple[str, ...] = ()

    def columns(
        self, values: pa.ChunkedArray, rows: NDArray[np.int64], at: NDArray[np.int64], prefix: str
    ) -> Iterator[Column]:
        """Features of the rows `rows` (−1: none) for examples at `at` (nanoseconds), named `prefix` + column."""
        name = prefix + self.column
        if self.kind is ColumnKind.NUMBER:
            yield Column(name, gathered(numbers(values), rows))
        elif self.kind is ColumnKind.INSTANT:
            yield from calendar(instants(values), rows, at, name)
        elif self.kind is ColumnKind.CATEGORY:
            codes = self.codes(values)
            yield Column(name, np.where(rows >= 0, codes[rows] if len(codes) else -1, -1).astype(np.int32), self.vocabulary)
        else:
            yield from self._text(values, rows, name)

    def codes(self, values: pa.ChunkedArray) -> NDArray[np.int32]:
        """(rows,) index into the vocabulary, −1 for null and for what is not in it."""
        texts = physical(values).cast(pa.large_string())
        found = pc.index_in(texts, value_set=pa.array(self.vocabulary, pa.large_string()))
        return np.asarray(pc.fill_null(found, -1).to_numpy(), dtype=np.int32)

    def _text(self, values: pa.ChunkedArray, rows: NDArray[np.int64], name: str) -> Iterator[Column]:
        texts = physical(values).cast(pa.large_string())
        yield Column(f"{name}.characters", gathered(numbers(pc.utf8_length(texts)), rows))
        words = pc.list_value_length(pc.utf8_split_whitespace(texts))
        yield Column(f"{name}.words", gathered(numbers(words), rows))
        lower = pc.utf8_lower(texts)
        for word in self.vocabulary:
            has = pc.match_substring(lower, word)
            yield Column(f"{name} has {word!r}", gathered(numbers(has), rows))


def gathered(values: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """`values[rows]`, NaN where a row is −1."""
    if not len(values):
        return np.full(len(rows), np.nan)
    return np.where(rows >= 0, values[rows], np.nan)


def calendar(values: NDArray[np.int64], rows: NDArray[np.int64], at: NDArray[np.int64], name: str) -> Iterator[Column]:
    """Parts of a date and its age in days at `at` (negative where the date is still to come).

    The year is left out: later examples meet years that training never saw, and the age says the same without drift.
    """
    moment = np.where(rows >= 0, values[rows] if len(values) else MISSING, MISSING)
    filled = moment != MISSING
    age = np.where(filled, (at.astype(np.float64) - moment.astype(np.float64)) / DAY, np.nan)
    yield Column(f"{name}.age", age)
    for part, numbers_ in date_parts(moment).items():
        yield Column(f"{name}.{part}", np.where(filled, numbers_, np.nan))


def date_parts(moment: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """What of a date recurs: month, day and weekday (0 is Monday) of nanoseconds since 1970."""
    dates = pd.DatetimeIndex(moment.view("datetime64[ns]"))
    return {part: np.asarray(getattr(dates, part), dtype=np.float64) for part in ("month", "day", "weekday")}


def fit_encoders(known: Table, most_categories: int = 1000, words: int = 8) -> tuple[Encoder, ...]:
    """Encoders for the attributes of a table, fitted on its known rows.

    Args:
        known: The table cut at the end of training.
        most_categories: Only this many most frequent categories of a column get a code.
        words: How many frequent words of a text column become features of their own.
    """
    encoders = []
    for column in known.attributes:
        values = known.rows.column(column)
        kind = kind_of(known, column)
        if kind is ColumnKind.CATEGORY:
            encoders.append(Encoder(column, kind, frequent(values, most_categories)))
        elif kind is ColumnKind.TEXT:
            encoders.append(Encoder(column, kind, _frequent_words(values, words)))
        elif kind is not None:
            encoders.append(Encoder(column, kind))
    return tuple(encoders)


def frequent(values: pa.ChunkedArray, most: int) -> tuple[str, ...]:
    """The `most` most frequent strings of a column, ties in alphabetical order."""
    return tuple(by_frequency(physical(values).cast(pa.large_string()))["value"].slice(0, most).to_pylist())


def _frequent_words(values: pa.ChunkedArray, most: int) -> tuple[str, ...]:
    """Words of at least three letters in at least one of fifty known texts, the most frequent first."""
    sample = physical(values).cast(pa.large_string()).drop_null()[:50_000].to_pylist()
    counts = Counter(word for text in sample for word in set(text.lower().split()) if len(word) >= 3)
    enough = [(count, word) for word, count in counts.items() if count >= max(5, len(sample) / 50)]
    return tuple(word for _, word in sorted(enough, key=lambda pair: (-pair[0], pair[1]))[:most])
