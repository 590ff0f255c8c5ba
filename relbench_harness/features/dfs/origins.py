"""Which columns a synthesised feature reads, and over which foreign keys it reaches them, read from its definition."""

from __future__ import annotations

from typing import Any

from featuretools.feature_base import AggregationFeature, DirectFeature, IdentityFeature

from relbench_harness.features.dfs.definitions import Feature, Schema
from relbench_harness.features.origin import Origin
from relbench_harness.temporal.paths import ForeignKey
from relbench_harness.temporal.routes import HERE, Leg, Route


def origins_of(schema: Schema, feature: Feature, route: Route = HERE) -> tuple[Origin, ...]:
    """Each column once, sorted; a count of rows reads none of them.

    Args:
        route: How the frame that the feature is about is reached.
    """
    if isinstance(feature, IdentityFeature):
        frame = schema.frames[feature.dataframe_name]
        column = feature.column_name if feature.column_name in frame.kinds else None
        return (Origin(frame.table, column, route),)
    if isinstance(feature, DirectFeature | AggregationFeature):
        legs = (_leg(schema, up, relationship) for up, relationship in feature.relationship_path)
        route = route.then(*legs)
    found = {origin for base in feature.base_features for origin in origins_of(schema, base, route)}
    return tuple(sorted(found, key=lambda o: (o.table or "", o.column or "", o.route.name)))


def _leg(schema: Schema, up: bool, relationship: Any) -> Leg:
    # its public names hold the column too where two keys lead to one parent
    child = schema.frames[relationship._child_dataframe_name].table
    parent = schema.frames[relationship._parent_dataframe_name].table
    return Leg(ForeignKey(child, relationship._child_column_name, parent), bool(up))
