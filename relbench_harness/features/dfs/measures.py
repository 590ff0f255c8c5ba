"""What an aggregation reads of each row, and the formula that it stands for."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence

from relbench_harness.features.dfs.backend import inexpressible
from relbench_harness.features.dfs.definitions import Feature
from relbench_harness.features.dfs.formulas import DATE_PARTS, FORMULAS
from relbench_harness.features.dfs.frames import Frames
from relbench_harness.features.dfs.stream import Measure

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from featuretools.feature_base import IdentityFeature, TransformFeature

UNITS = {
    "years": 31540000,
    "months": 2628000,
    "days": 86400,
    "hours": 3600,
    "minutes": 60,
    "seconds": 1,
    "milliseconds": 0.001,
    "nanoseconds": 0.000000001,
}
"""Seconds of featuretools' units."""
TIME_INPUT = {"time_since_last": 0, "avg_time_between": 0, "trend": 1}
"""Primitive → which of its inputs is a time; the row's own time is in every stream anyway."""


def inputs(frames: Frames, feature: Feature) -> list[Feature]:
    """What an aggregation reads of each row besides its own time; nothing to count rows."""
    name = feature.primitive.name
    if name == "count":
        return []
    bases = enumerate(feature.base_features)
    return [base for i, base in bases if i != TIME_INPUT.get(name) or not _is_own_time(frames, base)]


def _is_own_time(frames: Frames, feature: Feature) -> bool:
    if not isinstance(feature, IdentityFeature):
        return False
    frame = frames.frame(feature.dataframe_name)
    return frame.timed and feature.column_name == frame.time and feature.column_name not in frame.references


def distinct_inputs(frames: Frames, features: Iterable[Feature]) -> list[Feature]:
    """The inputs of several aggregations: number i is the value `v{i}` of their stream."""
    found = {base.unique_name(): base for feature in features for base in inputs(frames, feature)}
    return list(found.values())


def formula_name(frames: Frames, feature: Feature) -> str:
    """The primitive's name; the time since a value of the last row is a formula of its own."""
    name = str(feature.primitive.name)
    return f"{name}_value" if name == "time_since_last" and inputs(frames, feature) else name


def measures(frames: Frames, features: Sequence[Feature]) -> list[Measure]:
    """The formula of each aggregation over `distinct_inputs`; number i has the output `g{i}`.

    Raises:
        InputError: A feature that no formula gives.
    """
    columns = {base.unique_name(): f"v{i}" for i, base in enumerate(distinct_inputs(frames, features))}
    made = []
    for index, feature in enumerate(features):
        name = formula_name(frames, feature)
        if getattr(feature, "where", None) is not None or getattr(feature, "use_previous", None) is not None:
            raise inexpressible(feature, "it has a where clause or a use_previous window")
        if name not in FORMULAS:
            raise inexpressible(feature, f"no formula for primitive {name!r}")
        if name == "median" and frames.backend.dialect == "spark":
            raise inexpressible(feature, "Spark has no running median", other="duckdb")
        v, w, *_ = [*(columns[base.unique_name()] for base in inputs(frames, feature)), "own", "own"]
        codes = str(_codes(frames, feature.base_features[0])) if name == "mode" else ""
        unit = repr(float(UNITS.get(getattr(feature.primitive, "unit", "seconds"), 1)))
        made.append(Measure(f"g{index}", FORMULAS[name], {"v": v, "w": w, "codes": codes, "unit": unit}))
    return made


def _codes(frames: Frames, feature: Feature) -> int:
    """How many codes the values of a categorical feature have."""
    if isinstance(feature, IdentityFeature):
        source, frame = frames.source(feature.dataframe_name), frames.frame(feature.dataframe_name)
        if feature.column_name in frame.references:
            return max(frames.source(frame.references[feature.column_name]).rows, 1)
        return max(source.codes.get(feature.column_name, 1), 1)
    if isinstance(feature, TransformFeature):
        if feature.primitive.name not in DATE_PARTS:
            raise inexpressible(feature, f"no order of the values of {feature.primitive.name!r}")
        return 3000
    return _codes(frames, feature.base_features[0])
