"""What gradients of a network say of tables, paths, columns, hops, ages and rows: the fast first pass.

Amounts are gradient × input: of first order, around zero input. They rank; whether they are true, removal says.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from relbench_harness.errors import InputError
from relbench_harness.explain.attribution import part_of
from relbench_harness.explain.explanation import AGES, AgeBand, Amount, Explanation, Kind, Level, Part, age_bands
from relbench_harness.explain.outputs import check_values, same_again
from relbench_harness.features.input_amounts import InputAmounts
from relbench_harness.features.origin import Origin
from relbench_harness.progress import track
from relbench_harness.protocol.audit.scenes import sampled
from relbench_harness.protocol.method import Examples, Predictor
from relbench_harness.temporal.visibility import days_before


@runtime_checkable
class Differentiable(Protocol):
    """A predictor that knows the gradients of its answers."""

    def input_amounts(self, examples: Examples) -> Iterator[InputAmounts]: ...


@dataclass(frozen=True)
class Gradients:
    """Gradient × input, summed up to parts.

    Attributes:
        kinds: `row` counts for single examples alone.
        most: At model level at most so many examples are read.
        ages: Days at which bands of age end.
    """

    kinds: Sequence[Kind] = ("table", "path", "column", "hop", "age", "row")
    most: int = 200
    ages: tuple[float, ...] = AGES
    seed: int = 0
    name: str = "gradients"

    def explain(self, predictor: Predictor, examples: Examples, level: Level = "model") -> tuple[Explanation, ...]:
        """One explanation of the model, or one of each example.

        Raises:
            InputError: The predictor knows no gradients.
        """
        check_values(examples)
        inner = same_again(predictor)
        if not isinstance(inner, Differentiable):
            raise InputError(f"{type(inner).__name__} knows no gradients; ablation and removal explain any method")
        if level == "model":
            examples = examples.take(sampled(examples, self.most, self.seed))
        found = []
        for i, given in enumerate(track(inner.input_amounts(examples), "gradients", total=len(examples))):
            amounts = self._amounts(examples, i, given)
            found.append(Explanation("rows", self.name, "margin", tuple(amounts), example=i, prediction=given.margin))
        return tuple(found) if level == "rows" else (self._model(found),)

    def _model(self, each: Sequence[Explanation]) -> Explanation:
        """The mean size of each part's amounts; an example without the part counts as 0."""
        sizes: dict[Part, list[float]] = defaultdict(list)
        for one in each:
            for amount in one.amounts:
                if amount.part.kind != "row":
                    sizes[amount.part].append(abs(amount.value))
        amounts = []
        for part, some in sizes.items():
            values = np.append(some, np.zeros(len(each) - len(some)))
            error = 1.96 * float(values.std(ddof=1)) / np.sqrt(len(values)) if len(values) > 1 else float("nan")
            mean = float(values.mean())
            amounts.append(Amount(part, mean, mean - error, mean + error))
        return Explanation("model", self.name, "margin", tuple(amounts), notes={"examples": len(each)})

    def _amounts(self, examples: Examples, position: int, given: InputAmounts) -> list[Amount]:
        sums: dict[Part, float] = defaultdict(float)
        cutoff = int(examples.cutoff[position])
        bands = age_bands(self.ages)
        for table, one in given.tables.items():
            times = examples.database[table].times
            for row, route, values in zip(one.rows.tolist(), one.routes, one.values, strict=True):
                total = float(values.sum())
                time = None if times is None else int(times[row])
                for kind in self.kinds:
                    if kind == "column":
                        for column, value in zip(one.columns, values, strict=True):
                            sums[part_of(Origin(table, column, route), "column")] += float(value)
                    elif kind == "age":
                        sums[Part("age", age=_band(time, cutoff, bands))] += total
                    elif kind == "row":
                        sums[Part("row", table=table, path=route.name, hop=route.hops, row=row, time=time)] += total
                    else:
                        sums[part_of(Origin(table, None, route), kind)] += total
        for origin, value in given.summary:
            for kind in self.kinds:
                if kind not in ("age", "row") and (origin.table is not None or kind == self.kinds[0]):
                    sums[part_of(origin, kind)] += value
        return [Amount(part, value) for part, value in sums.items()]


def _band(time: int | None, cutoff: int, bands: Sequence[AgeBand]) -> AgeBand | None:
    """The band that a row lies in; the first one for an example's own row, none for a row without a time."""
    if time is None:
        return None
    days = days_before(np.asarray([time]), cutoff).clip(min=0)
    return next(band for band in bands if band.holds(days)[0])
