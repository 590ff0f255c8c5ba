"""What the engine needs of the place where its SQL runs, and the errors that name features. Backends import only this."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from relbench_harness.errors import InputError


@dataclass(frozen=True)
class Source:
    """How a table is stored for the engine.

    Attributes:
        relation: A relation with `row` (row number), `at` (nanoseconds, if timed) and the columns below.
        keys: Foreign key → name of the column that holds the parent's row number.
        columns: Attribute → column: doubles, nanoseconds, codes in the order of the values, or text.
        codes: Category attribute → how many codes there are.
        rows: How many rows.
    """

    relation: str
    keys: Mapping[str, str]
    columns: Mapping[str, str]
    codes: Mapping[str, int]
    rows: int


class Backend(Protocol):
    """Where the SQL runs. A query that finds neither memory nor space to spill is a `MemoryError`."""

    dialect: str
    """sqlglot's name of the SQL that queries are written in."""

    def source(self, table: str) -> Source:
        """The stored table, all instants in nanoseconds."""
        ...

    def store(self, query: str) -> str:
        """The name of a relation that holds the result of `query`."""
        ...

    def count(self, query: str) -> int:
        """The one whole number that `query` gives."""
        ...


class FeaturesOutOfMemory(MemoryError):
    """Features that do not fit into memory, by name."""


@contextmanager
def naming(features: Sequence[Any]) -> Iterator[None]:
    """Says which features were being computed when memory ran out; of nested scopes the innermost."""
    try:
        yield
    except FeaturesOutOfMemory:
        raise
    except MemoryError as error:
        names = [feature.get_name() for feature in features]
        shown = ", ".join(map(repr, names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        raise FeaturesOutOfMemory(f"features {shown} do not fit into memory: {error}") from None


def inexpressible(feature: Any, why: str, other: str = "featuretools") -> InputError:
    return InputError(f"feature {feature.get_name()!r} cannot be expressed in SQL: {why}; engine={other} computes it")
