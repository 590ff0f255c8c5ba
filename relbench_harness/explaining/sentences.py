"""Rows that moved a prediction, in sentences with the keys, columns and values of the source.

Invariant: a sentence about several rows is about rows of one table, reached on one path through one neighbour, all of one sign; their
amounts are added.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from relbench_harness.explain.explanation import Amount, Explanation, Part
from relbench_harness.explaining.material import Material, key_text
from relbench_harness.site.words import counted, fixed

MOST_VALUES = 4
MOST_KEYS = 4
LONGEST = 40
NONE_OF_IT = 1e-9
"""Amounts below are no change."""


@dataclass(frozen=True)
class Group:
    """Rows that are spoken of together."""

    amounts: tuple[Amount, ...]

    @property
    def first(self) -> Part:
        return self.amounts[0].part

    @property
    def total(self) -> float:
        return sum(one.value for one in self.amounts)


def groups(explanation: Explanation) -> list[Group]:
    """The rows that moved the answer, together where they are of one kind; the greatest amounts first."""
    found: dict[tuple[object, ...], list[Amount]] = {}
    for amount in explanation.of("row"):
        if abs(amount.value) > NONE_OF_IT:
            part = amount.part
            found.setdefault((part.table, part.path, part.via, amount.value > 0), []).append(amount)
    return sorted((Group(tuple(some)) for some in found.values()), key=lambda one: -abs(one.total))


def sentences(material: Material, explanation: Explanation, most: int = 6) -> Iterator[str]:
    """The greatest groups; names stand between backticks."""
    for group in groups(explanation)[:most]:
        yield _sentence(material, group)


def _sentence(material: Material, group: Group) -> str:
    part, several = group.first, len(group.amounts) > 1
    raises = group.total > 0
    verb = ("raise" if raises else "lower") if several else ("raises" if raises else "lowers")
    who = _rows_of(material, group)
    when = _when([one.part.time for one in group.amounts])
    through = _through(material, part)
    what = _values(material, group)
    subject = " ".join(filter(None, (who, through, when)))
    return f"{subject}{f', with {what},' if what else ''} {verb} the prediction by {fixed(abs(group.total), 3)}."


def _rows_of(material: Material, group: Group) -> str:
    part = group.first
    keys = material.keys(part.table or "")
    numbers = [one.part.row or 0 for one in group.amounts]
    if len(numbers) == 1:
        return f"The row {code(key_text(keys, numbers[0]))} of {code(part.table or '')}"
    names = ", ".join(keys.column_names)
    texts = [", ".join(short(column[row].as_py()) for column in keys.columns) for row in numbers]
    left = len(texts) - MOST_KEYS
    shown = "; ".join(texts[:MOST_KEYS]) + (f" and {left} more" if left > 0 else "")
    return f"{counted(len(texts), 'row')} of {code(part.table or '')} ({code(names)} {shown})"


def _through(material: Material, part: Part) -> str:
    """The rows between, but for the entity itself."""
    between = part.via[:-1]
    words = [f"{code(table)} {code(key_text(material.keys(table), row))}" for table, row in between]
    return f"of {', of '.join(words)}" if words else ""


def _when(times: Sequence[int | None]) -> str:
    known = [time for time in times if time is not None]
    if not known:
        return ""
    days = sorted({str(pd.Timestamp(time).date()) for time in known})
    return f"of {days[0]}" if len(days) == 1 else f"from {days[0]} to {days[-1]}"


def _values(material: Material, group: Group) -> str:
    """What the row says, or what all rows of the group say alike; keys and times aside."""
    table = material.rows[group.first.table or ""]
    taken = table.take(np.asarray([one.part.row or 0 for one in group.amounts]))
    said = []
    for name in material.attributes.get(group.first.table or "", ()):
        values = {short(value) for value in taken.column(name).to_pylist()}
        if len(values) == 1 and (value := values.pop()):
            said.append(f"{code(name)} {value}")
    return ", ".join(said[:MOST_VALUES])


def short(value: object) -> str:
    """A value on one line, cut where it is long; empty where it is missing."""
    if value is None:
        return ""
    text = f"{value:.4g}" if isinstance(value, float) else " ".join(str(value).replace("`", "'").split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def code(name: str) -> str:
    """A name of the source between backticks, on one line."""
    return "`" + " ".join(str(name).replace("`", "'").split()) + "`"
