"""What a ranking by predictions is worth where few can be acted on, and whether predicted values come about, in figures.

Definitions: precision at a share or a capacity is the part of the chosen that are positive; gain is the part of all positives that are
among the chosen; lift is precision over the base rate. Where predictions tie at the edge, the tied ones count with their mean. A capacity
is per time: the best `capacity` of each test time are chosen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from relbench_harness.board.intervals import bounds, entity_counts
from relbench_harness.board.predictions import SplitLabels
from relbench_harness.board.weighted import entities_of
from relbench_harness.protocol.method import Ragged
from relbench_harness.protocol.metrics import hits
from relbench_harness.site.curves import Bin, calibration

Real = NDArray[np.float64]
PERCENTS = (1, 5, 10)
GROUPS = 10


class Chosen(NamedTuple):
    """The examples with the highest predictions.

    Attributes:
        number: How many they are.
        positives: How many of them are positive; a fraction where predictions tie.
        precision, gain, lift: NaN where there are none, or no positives at all.
    """

    number: int
    positives: float
    precision: float
    gain: float
    lift: float


def top_positives(truth: Real, given: Real, number: int) -> float:
    """How many of the `number` highest predictions are positive, tied ones at the edge counted with their mean."""
    if number <= 0 or len(truth) == 0:
        return 0.0
    number = min(number, len(truth))
    threshold = np.partition(given, len(given) - number)[len(given) - number]
    above, tied = given > threshold, given == threshold
    return float(truth[above].sum() + truth[tied].mean() * (number - above.sum()))


def at_share(truth: Real, given: Real, percent: float) -> Chosen:
    """The top `percent` % of all examples, at least one."""
    number = max(1, math.ceil(len(truth) * percent / 100))
    return _chosen(truth, number, top_positives(truth, given, number))


def at_capacity(truth: Real, given: Real, time: NDArray[np.int64], capacity: int) -> Chosen:
    """The top `capacity` of each time, all of them where a time has fewer examples."""
    number, positives = 0, 0.0
    for one in np.unique(time):
        rows = np.flatnonzero(time == one)
        number += min(capacity, len(rows))
        positives += top_positives(truth[rows], given[rows], capacity)
    return _chosen(truth, number, positives)


def _chosen(truth: Real, number: int, positives: float) -> Chosen:
    total = float(truth.sum())
    precision = positives / number if number else math.nan
    gain = positives / total if total else math.nan
    return Chosen(number, positives, precision, gain, precision / (total / len(truth)) if total else math.nan)


Precisions = dict[str, Real]
"""Method → precision at a capacity in each resample of entities, the same resamples for all."""
DRAWS = 500


def precisions(labels: SplitLabels, truth: Real, answers: Mapping[str, Real], capacity: int, seed: int = 0) -> Precisions:
    """Precision at `capacity` of each method in `DRAWS` resamples of the entities.

    Within a resample an example counts as often as its entity was drawn.
    """
    entities = entities_of(labels)
    times = [np.flatnonzero(labels.time == one) for one in np.unique(labels.time)]
    ordered = {name: [_ordered(rows, given) for rows in times] for name, given in answers.items()}
    found: dict[str, list[Real]] = {name: [] for name in answers}
    for counts in entity_counts(entities, DRAWS, seed):
        weights = counts[:, entities.code]
        for name, several in ordered.items():
            chosen, positive = np.zeros(len(counts)), np.zeros(len(counts))
            for rows, starts in several:
                drawn = weights[:, rows]
                tied = np.add.reduceat(drawn, starts, axis=1)
                true = np.add.reduceat(drawn * truth[rows], starts, axis=1)
                taken = np.clip(capacity - (np.cumsum(tied, axis=1) - tied), 0, tied)
                chosen += taken.sum(axis=1)
                positive += np.divide(true * taken, tied, out=np.zeros_like(true), where=tied > 0).sum(axis=1)
            found[name].append(positive / np.maximum(chosen, 1))
    return {name: np.concatenate(several) for name, several in found.items()}


class _Order(NamedTuple):
    """Rows from the highest prediction down, and where among them each of the different predictions begins."""

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]


def _ordered(rows: NDArray[np.int64], given: Real) -> _Order:
    order = rows[np.argsort(-given[rows], kind="stable")]
    changes = np.flatnonzero(np.diff(given[order])) + 1
    return _Order(order, np.concatenate([np.zeros(1, np.int64), changes]))


def interval(drawn: Real, labels: SplitLabels) -> tuple[float, float]:
    """The 95 % interval of values in resamples of the entities of `labels`."""
    return bounds(drawn, entities_of(labels).number)


def deciles(truth: Real, given: Real) -> list[Bin]:
    """Groups of about equally many predictions from low to high, with the means of what was predicted and what came."""
    return calibration(truth, given, GROUPS)


def hit_rate(truth: Ragged, given: NDArray[np.int64], most: int) -> float:
    """The part of examples with an item for which at least one of the first `most` recommended items is a true one."""
    some = np.diff(truth.offsets) > 0
    found = hits(truth, given[:, :most])[some]
    return float(found.any(axis=1).mean()) if len(found) else math.nan
