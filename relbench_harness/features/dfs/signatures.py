"""What a feature's value rests on besides its own row: it tells when the value can still change.

Invariant: features with equal signatures settle at the same times, so `settling` decides once for all of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from relbench_harness.features.dfs.definitions import Feature

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from featuretools.feature_base import AggregationFeature, DirectFeature, IdentityFeature


@dataclass(frozen=True)
class Hop:
    """One step down: frame `child`, whose foreign key `key` names a row of the frame before."""

    child: str
    key: str


@dataclass(frozen=True)
class Up:
    """The row of frame `parent` that foreign key `key` names is visible, and what is read of it rests `on` this."""

    key: str
    parent: str
    on: Signature


@dataclass(frozen=True)
class Down:
    """The rows at the end of `steps` down are visible, and what is aggregated of them rests `on` this."""

    steps: tuple[Hop, ...]
    on: Signature


@dataclass(frozen=True)
class Always:
    """The value rests on the time itself: it never settles."""


Signature: TypeAlias = "frozenset[Up | Down | Always]"


def signature(feature: Feature) -> Signature:
    if isinstance(feature, IdentityFeature):
        return frozenset()
    base = rests_on(feature.base_features)
    if getattr(feature.primitive, "uses_calc_time", False):
        base |= {Always()}
    if isinstance(feature, DirectFeature):
        return frozenset({Up(key_of(feature), feature.base_features[0].dataframe_name, base)})
    if isinstance(feature, AggregationFeature):
        return frozenset({Down(steps_of(feature), base)})
    return base


def rests_on(features: Iterable[Feature]) -> Signature:
    """What any of several features rests on."""
    return frozenset(part for feature in features for part in signature(feature))


def steps_of(feature: Feature) -> tuple[Hop, ...]:
    """The path from an aggregation's frame down to the rows it aggregates."""
    return tuple(Hop(r.child_dataframe.ww.name, r._child_column_name) for _, r in feature.relationship_path)


def key_of(feature: Feature) -> str:
    """The foreign key that a direct feature follows."""
    return str(feature.relationship_path[0][1]._child_column_name)


def in_order(found: Signature) -> list[Up | Down | Always]:
    """The parts in an order that is the same in every process."""
    return sorted(found, key=_label)


def _label(part: Up | Down | Always) -> str:
    match part:
        case Up(key, parent, on):
            return f"up {key!r} {parent!r} {[_label(p) for p in in_order(on)]}"
        case Down(steps, on):
            return f"down {steps} {[_label(p) for p in in_order(on)]}"
        case Always():
            return "always"


def changes_always(found: Signature) -> bool:
    return any(isinstance(part, Always) or changes_always(part.on) for part in found)


def only_up(found: Signature) -> bool:
    return all(isinstance(part, Up) and only_up(part.on) for part in found)


def null_until_seen(features: Iterable[Feature]) -> bool:
    """Whether each feature is missing until the parents it comes from are visible."""
    return all(map(_null_until_seen, features))


def _null_until_seen(feature: Feature) -> bool:
    if isinstance(feature, IdentityFeature):
        return True
    if isinstance(feature, DirectFeature) and has_default(feature):
        return False
    if isinstance(feature, AggregationFeature) or feature.primitive.name == "is_null":
        return False
    return null_until_seen(feature.base_features)


def has_default(feature: Feature) -> bool:
    """Whether the feature has a value where there are no rows, as a count has."""
    default = feature.default_value
    # featuretools' "no default" is either NaN or pandas' NA, which compares to nothing
    return isinstance(default, int | float) and default == default
