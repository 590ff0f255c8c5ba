"""All that a page says, as values: explanations of the model by each way, and of chosen predictions.

Invariant: pages, sentences and notebooks read this alone and call no predictor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
import pyarrow as pa

from relbench_harness.explain.cohorts import Cohort
from relbench_harness.explain.contrast import Contrast
from relbench_harness.explain.distilled import Distilled
from relbench_harness.explain.explanation import Explanation
from relbench_harness.explain.listing import Keys


@dataclass(frozen=True)
class One:
    """One prediction and its explanations.

    Attributes:
        name: Key and time of the example.
        why: Why it is on the page.
        cutoff: What the example sees is older, nanoseconds.
        label: What came true, where that is known.
        found: The explanation by removal.
        contrast: What would have to be otherwise for a prediction on the other side of the median of validation.
    """

    name: str
    why: str
    cutoff: int
    label: float | None
    found: Explanation
    contrast: Contrast | None = None


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
        cohorts: Predictions over the values of columns.
        by_distance: Foreign keys away from the entity → the share of the importance of all columns.
        distilled: A few columns as SQL that reproduce the answers; None where none do, or `is_distilled` is false.
        is_distilled: Whether they were looked for.
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
    cohorts: tuple[Cohort, ...] = ()
    by_distance: Mapping[int, float] = field(default_factory=dict)
    distilled: Distilled | None = None
    is_distilled: bool = False


def key_text(keys: pa.Table, row: int) -> str:
    """The original key of a row in words: `customer 17`."""
    return ", ".join(f"{name} {keys.column(name)[row].as_py()}" for name in keys.column_names)


def moment(time: int) -> str:
    """A time without what is zero at its end."""
    text = str(pd.Timestamp(time))
    return text.removesuffix(" 00:00:00")
