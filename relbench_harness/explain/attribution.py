"""Amounts by origin, summed up to tables, paths, columns and hops: what trees' features and networks' inputs have in common.

Invariant: shares add up. What a feature of several origins adds is divided among them evenly, so that the parts of each kind sum to
what the features sum to.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relbench_harness.explain.explanation import Amount, Kind, Part
from relbench_harness.features.origin import Origin

UNKNOWN = "features of unknown origin"


def part_of(origin: Origin, kind: Kind) -> Part:
    """The part of `kind` that an origin lies in; what is no table's is of kind `other`."""
    if origin.table is None:
        return Part("other", name=origin.column or UNKNOWN)
    if kind == "table":
        return Part(kind, table=origin.table)
    if kind == "path":
        return Part(kind, table=origin.table, path=origin.route.name, hop=origin.route.hops)
    if kind == "hop":
        return Part(kind, hop=origin.route.hops)
    return Part(kind, table=origin.table, column=origin.column)


@dataclass(frozen=True)
class Shares:
    """How f features are divided among the parts of one kind.

    Attributes:
        weights: (f, parts); each row sums to 1.
    """

    parts: tuple[Part, ...]
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, origins: Iterable[tuple[Origin, ...]], kind: Kind) -> Shares:
        per_feature = [[part_of(one, kind) for one in some or (Origin(None, UNKNOWN),)] for some in origins]
        parts = tuple(dict.fromkeys(part for some in per_feature for part in some))
        place = {part: i for i, part in enumerate(parts)}
        weights = np.zeros((len(per_feature), len(parts)))
        for feature, some in enumerate(per_feature):
            for part in some:
                weights[feature, place[part]] += 1 / len(some)
        return cls(parts, weights)


def signed(values: NDArray[np.float64], origins: Iterable[tuple[Origin, ...]], kinds: Iterable[Kind]) -> list[Amount]:
    """Amounts of one example from (f,) what each feature adds."""
    found = []
    origins = list(origins)
    for kind in kinds:
        shares = Shares.of(origins, kind)
        found += [Amount(part, float(v)) for part, v in zip(shares.parts, values @ shares.weights, strict=True)]
    return _once(found)


def mean_sizes(values: NDArray[np.float64], origins: Iterable[tuple[Origin, ...]], kinds: Iterable[Kind]) -> list[Amount]:
    """Amounts of a model from (n, f): the mean size of what each part adds, with the interval of that mean."""
    found = []
    origins = list(origins)
    for kind in kinds:
        shares = Shares.of(origins, kind)
        sizes = np.abs(values @ shares.weights)
        mean = sizes.mean(axis=0)
        error = 1.96 * sizes.std(axis=0, ddof=1) / np.sqrt(len(sizes)) if len(sizes) > 1 else np.full(len(mean), np.nan)
        for part, m, e in zip(shares.parts, mean, error, strict=True):
            found.append(Amount(part, float(m), float(m - e), float(m + e)))
    return _once(found)


def _once(amounts: list[Amount]) -> list[Amount]:
    """The amounts with each part once: what is no table's comes with every kind."""
    return list({amount.part: amount for amount in amounts}.values())
