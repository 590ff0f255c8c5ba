"""Finds out all that a page says: the one place where a predictor is called for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.explain.candidates import FirstPass
from relbench_harness.explain.contrast import Contrasts, Others
from relbench_harness.explain.distilled import Distillation
from relbench_harness.explain.explainer import explain, ways
from relbench_harness.explain.explanation import Explanation, Level
from relbench_harness.explain.outputs import Output, answers, check_values, same_again
from relbench_harness.explain.removal import Removal
from relbench_harness.explain.variants import Subject
from relbench_harness.explaining.about_cohorts import by_distance, cohorts_of
from relbench_harness.explaining.doubts import doubts
from relbench_harness.explaining.fitted import Fitted
from relbench_harness.explaining.material import Material, One, key_text, moment
from relbench_harness.protocol.method import Examples

View = Level | Literal["sql"]
"""A level, or the answers as SQL."""
MOST_EXPLAINED = 50
"""Predictions on one page, at most."""
MOST_LOOKED_AT = 2000
"""Validation examples among which the highest, the middle and the lowest prediction are looked for."""


def found_out(fitted: Fitted, level: View | None, named: Sequence[str] = (), count: int = 3) -> Material:
    """Explains the model, single predictions, answers as SQL, or all where `level` is None.

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
    ones = _ones(fitted, named, count) if level in (None, "rows") else []
    model: dict[str, Explanation] = {}
    if level in (None, "model"):
        model = {str(way): explain(fitted.predictor, fitted.valid, by=way)[0] for way in ways(fitted.predictor, "model")}
    first = model.get("ablation")
    with_sql = level in (None, "sql")
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
        doubts=() if first is None else doubts(fitted, first),
        cohorts=() if first is None else cohorts_of(fitted, first),
        by_distance={} if first is None else by_distance(fitted, first),
        distilled=Distillation().of(fitted.predictor, fitted.stages.examples("train"), fitted.valid) if with_sql else None,
        is_distilled=with_sql,
    )


def _ones(fitted: Fitted, named: Sequence[str], count: int) -> list[One]:
    others = _others(fitted)
    if named:
        examples, why = fitted.named(named), ["chosen"] * len(named)
    else:
        examples, why = _of_different_height(others, count)
    predictor = same_again(fitted.predictor)
    subject = Subject.of(predictor, examples)
    found = Removal().of_subject(subject, FirstPass.of(predictor, examples))
    contrasts = Contrasts().of(subject, found, others)
    comparable = examples.labels is not None and examples.task.type in (TaskType.BINARY, TaskType.REGRESSION)
    known = np.asarray(examples.values, np.float64) if comparable else None
    return [
        One(
            name=f"{key_text(fitted.keys(examples.task.entity_table), int(examples.entity[i]))} at {moment(int(examples.time[i]))}",
            why=why[i],
            cutoff=int(examples.cutoff[i]),
            label=None if known is None else float(known[i]),
            found=one,
            contrast=contrasts[i],
        )
        for i, one in enumerate(found)
    ]


def _others(fitted: Fitted) -> Others:
    """Validation examples, answered."""
    some = fitted.valid
    if len(some) > MOST_LOOKED_AT:
        some = some.take(np.sort(np.random.default_rng(0).choice(len(some), MOST_LOOKED_AT, replace=False)))
    return Others(some, answers(same_again(fitted.predictor), some))


def _of_different_height(others: Others, count: int) -> tuple[Examples, list[str]]:
    """Validation examples from the highest prediction to the lowest, at even steps of rank."""
    some, given = others.examples, others.given
    order = np.argsort(-Output.chosen(given).of(given), kind="stable")
    places = np.unique(np.linspace(0, len(order) - 1, count).round().astype(np.int64))
    words = {
        0: "the highest prediction",
        len(order) - 1: "the lowest prediction",
        places[len(places) // 2]: "a middle prediction",
    }
    why = [words.get(int(place), f"place {place + 1} of {len(order)}") for place in places]
    return some.take(order[places]), why
