"""All that a page says, as values: explanations of the model by each way, and of chosen predictions.

Invariant: pages, sentences and notebooks read this alone and call no predictor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from relbench_harness.errors import InputError
from relbench_harness.explain.explainer import explain, ways
from relbench_harness.explain.explanation import Explanation, Level
from relbench_harness.explain.listing import Keys
from relbench_harness.explain.outputs import Output, answers, check_values
from relbench_harness.explaining.fitted import Fitted
from relbench_harness.protocol.method import Examples

MOST_EXPLAINED = 50
"""Predictions on one page, at most."""
MOST_LOOKED_AT = 2000
"""Validation examples among which the highest, the middle and the lowest prediction are looked for."""


@dataclass(frozen=True)
class One:
    """One prediction and its explanations.

    Attributes:
        name: Key and time of the example.
        why: Why it is on the page.
        cutoff: What the example sees is older, nanoseconds.
        label: What came true, where that is known.
        found: The explanation by removal.
    """

    name: str
    why: str
    cutoff: int
    label: float | None
    found: Explanation


@dataclass(frozen=True)
class Material:
    """What was found out about a fitted method.

    Attributes:
        method, task, entity_table: Names.
        examples: How many validation examples the model level rests on.
        model: Way → explanation of the model.
        ones: Explained predictions.
        rows: Table → its rows, for words about single ones.
        attributes: Table → its columns but keys and times.
        keys: Table → original keys.
        doubts: Sentences of warning.
    """

    method: str
    task: str
    entity_table: str
    examples: int
    model: Mapping[str, Explanation]
    ones: Sequence[One]
    rows: Mapping[str, pa.Table]
    attributes: Mapping[str, Sequence[str]]
    keys: Keys
    doubts: tuple[str, ...] = ()
    more: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


def found_out(fitted: Fitted, level: Level | None, named: Sequence[str] = (), count: int = 3) -> Material:
    """Explains the model, single predictions, or both where `level` is None.

    Args:
        named: KEY@TIME of each prediction to explain; `count` of different height among validation examples where empty.

    Raises:
        InputError: An example is none, or the task recommends items.
    """
    if not 1 <= count <= MOST_EXPLAINED:
        raise InputError(f"--examples is {count}; it is a whole number from 1 to {MOST_EXPLAINED}")
    if len(named) > MOST_EXPLAINED:
        raise InputError(f"{len(named)} examples are named; a page takes at most {MOST_EXPLAINED}")
    check_values(fitted.valid)
    ones = [] if level == "model" else _ones(fitted, named, count)
    model: dict[str, Explanation] = {}
    if level != "rows":
        model = {str(way): explain(fitted.predictor, fitted.valid, by=way)[0] for way in ways(fitted.predictor, "model")}
    return Material(
        method=fitted.name,
        task=fitted.task,
        entity_table=fitted.stages.task.entity_table,
        examples=len(fitted.valid),
        model=model,
        ones=ones,
        rows={name: table.rows for name, table in fitted.stages.shown.items()},
        attributes={name: tuple(table.attributes) for name, table in fitted.stages.shown.items()},
        keys=fitted.keys,
    )


def _ones(fitted: Fitted, named: Sequence[str], count: int) -> list[One]:
    if named:
        examples, why = fitted.named(named), ["chosen"] * len(named)
    else:
        examples, why = _of_different_height(fitted, count)
    found = explain(fitted.predictor, examples, level="rows")
    labels = None if examples.labels is None else np.asarray(examples.values, np.float64)
    known = labels if labels is not None and labels.ndim == 1 else None
    return [
        One(
            name=f"{key_text(fitted.keys(examples.task.entity_table), int(examples.entity[i]))} at {moment(int(examples.time[i]))}",
            why=why[i],
            cutoff=int(examples.cutoff[i]),
            label=None if known is None else float(known[i]),
            found=one,
        )
        for i, one in enumerate(found)
    ]


def _of_different_height(fitted: Fitted, count: int) -> tuple[Examples, list[str]]:
    """Validation examples from the highest prediction to the lowest, at even steps of rank."""
    some = fitted.valid
    if len(some) > MOST_LOOKED_AT:
        some = some.take(np.sort(np.random.default_rng(0).choice(len(some), MOST_LOOKED_AT, replace=False)))
    given = answers(fitted.predictor, some)
    order = np.argsort(-Output.chosen(given).of(given), kind="stable")
    places = np.unique(np.linspace(0, len(order) - 1, count).round().astype(np.int64))
    words = {
        0: "the highest prediction",
        len(order) - 1: "the lowest prediction",
        places[len(places) // 2]: "a middle prediction",
    }
    why = [words.get(int(place), f"place {place + 1} of {len(order)}") for place in places]
    return some.take(order[places]), why


def key_text(keys: pa.Table, row: int) -> str:
    """The original key of a row in words: `customer 17`."""
    return ", ".join(f"{name} {keys.column(name)[row].as_py()}" for name in keys.column_names)


def moment(time: int) -> str:
    """A time without what is zero at its end."""
    text = str(pd.Timestamp(time))
    return text.removesuffix(" 00:00:00")
