"""What stands of an explanation beside the results of its method: the tables and columns that count most, and how far the ways agree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from relbench_harness.board.importance import Agreement, Importance, Weighed
from relbench_harness.explain.explainer import Way
from relbench_harness.explain.explanation import Explanation, Kind
from relbench_harness.explaining.about_model import agreements
from relbench_harness.explaining.material import Material
from relbench_harness.explaining.pictures import by_weight, shares_of, weight

KEPT: tuple[Kind, ...] = ("table", "column")
MOST = 10


def importance_of(material: Material, regime: str) -> Importance:
    """The model level in short."""
    ways = {way: one for way in get_args(Way) if (one := material.model.get(way)) is not None}
    fidelity = None if material.distilled is None else material.distilled.fidelity
    return Importance(
        task=material.task,
        method=material.method,
        regime=regime,
        examples=material.examples,
        unit={way: one.unit for way, one in ways.items()},
        parts={way: tuple(part for kind in KEPT for part in _weighed(one, kind)) for way, one in ways.items()},
        agreements=tuple(
            Agreement(kind, (first, second), found, parts)
            for kind in KEPT
            for first, second, found, parts in agreements({way: one for way, one in ways.items() if one.of(kind)}, kind)
        ),
        as_sql=None
        if fidelity is None or material.distilled is None
        else (len(material.distilled.columns), fidelity.r2, fidelity.low, fidelity.high),
    )


def _weighed(one: Explanation, kind: Kind) -> Iterator[Weighed]:
    shares = shares_of(one, kind)
    for amount in by_weight(one, kind)[:MOST]:
        if weight(amount) > 0:
            yield Weighed(kind, amount.part.label, shares[amount.part.label], amount.value, amount.low, amount.high)
