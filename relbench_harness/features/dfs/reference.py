"""featuretools itself as the engine: one pass over the data per distinct cut-off. Slow, and the reference in tests."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relbench_harness.features.dfs.definitions import Feature, Schema
from relbench_harness.protocol.method import Examples

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import featuretools as ft


def calculate(schema: Schema, features: Sequence[Feature], examples: Examples) -> pd.DataFrame:
    """(n, features) featuretools' values of each example, in its own types; columns are the features' names.

    A row counts iff its time lies strictly before the example's cut-off (`include_cutoff_time=False`).
    """
    seeds, order = np.unique(np.stack([examples.entity, examples.cutoff]), axis=1, return_inverse=True)
    if not len(examples):
        return pd.DataFrame({feature.get_name(): np.empty(0) for feature in features})
    times = pd.DataFrame({"instance_id": pd.array(seeds[0], dtype="Int64"), "time": seeds[1].view("datetime64[ns]")})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        matrix = ft.calculate_feature_matrix(
            list(features),
            entityset=schema.entity_set(examples.database),
            cutoff_time=times,
            include_cutoff_time=False,
            cutoff_time_in_index=True,
            n_jobs=1,
        )
    return _in_order(matrix, order)


def _in_order(matrix: pd.DataFrame, order: NDArray[np.int64]) -> pd.DataFrame:
    # featuretools hands its rows back in the order of the cut-off times it was given
    return pd.DataFrame(matrix).iloc[order.reshape(-1)].reset_index(drop=True)
