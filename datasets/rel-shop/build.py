"""rel-shop: a synthetic shop in which the causes of every label, and so the best possible score, are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.data.truth import Truth
from relbench_harness.errors import InputError

from . import answers, catalogue
from .reasons import causing_rows
from .settings import chosen
from .world import World


def build(scale: float, seed: int, causes: str, scratch: Path) -> dict[str, Path]:
    """The tables of a world.

    Args:
        scale: 1 is about 100 thousand rows; rows grow in proportion.
        seed: Determines every row.
        causes: `all`, `none`, or names of causes joined by `+`.
        scratch: Where the tables are written.
    """
    return World(scale, seed, chosen(causes)).write(scratch)


def truth(
    task: str,
    entity: NDArray[np.int64],
    time: NDArray[np.int64],
    cutoff: NDArray[np.int64],
    folder: Path,
    scale: float,
    seed: int,
    causes: str,
) -> Truth:
    """The true distribution of the labels of questions (`entity`, `time`) of one of this dataset's tasks.

    Args:
        cutoff: (n,) the end of what is known to each question beyond its own time: the end of the labels seen.
        folder: What `build` left in `scratch / "truth"`.
    """
    switched = chosen(causes)
    world = answers.World(folder, catalogue.stock(seed, scale, switched), switched)
    if task == "product-category":
        return answers.category(world, entity, np.minimum(time, cutoff))
    if task == "customer-churn":
        return answers.all_epochs(folder, entity, time, lambda who: answers.binary(who.churn))
    if task == "customer-fraud":
        return answers.all_epochs(folder, entity, time, lambda who: answers.binary(who.fraud))
    if task == "customer-spend":
        return answers.all_epochs(folder, entity, time, lambda who: answers.spend(world, who))
    if task == "customer-products":
        return answers.all_epochs(folder, entity, time, lambda who: answers.products(world, who))
    raise InputError(f"rel-shop knows no truth about a task {task!r}")


def reasons(
    database: Database, task: str, entity: NDArray[np.int64], time: NDArray[np.int64], causes: str, **_: object
) -> pa.Table:
    """Which rows caused the labels of questions (`entity`, `time`): (question, cause, table, row)."""
    return causing_rows(database, task, entity, time, chosen(causes))
