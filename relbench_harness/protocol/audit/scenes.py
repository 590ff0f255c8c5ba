"""Small scenes cut from the stages of a task: samples that keep an audit within minutes, and an early cut-off with a known future.

Invariant: in an early scene every label that is handed over comes from a window that closes before the cut-off, and every
answered example is cut off no later than it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from relbench_harness.protocol.audit.trial import Scene
from relbench_harness.protocol.method import Examples, TrainingLabels
from relbench_harness.protocol.stages import Stages
from relbench_harness.protocol.work import FitOn

EARLY = 0.7
"""The early cut-off lies at this quantile of the training times."""
FEWEST = 30
"""Fewer answered examples than this are made up with earlier ones."""


@dataclass(frozen=True)
class Sizes:
    """How many examples an audit uses, at most."""

    training: int = 2000
    answered: int = 500


@dataclass(frozen=True)
class Cast:
    """The examples of an audit.

    Attributes:
        scene: Samples of training, validation and test, as a run hands them over.
        tested: The rows of the test split that are in the sample.
    """

    scene: Scene
    tested: NDArray[np.int64]


def sampled(examples: Examples, most: int, seed: int) -> NDArray[np.int64]:
    """Ascending positions of `most` examples, all where there are fewer."""
    if len(examples) <= most:
        return np.arange(len(examples))
    return np.sort(np.random.default_rng([seed, 23]).choice(len(examples), most, replace=False))


def cast_of(stages: Stages, sizes: Sizes, seed: int, fit_on: FitOn = "train") -> Cast:
    both = stages.final_training() if fit_on == "train+val" else None
    train, valid = stages.examples("train"), stages.examples("val")
    test = stages.holdout("test", None if both is None else both.fit_end).examples
    tested = sampled(test, sizes.answered, seed)
    scene = Scene(
        train.take(sampled(train, sizes.training, seed)),
        valid.take(sampled(valid, sizes.answered, seed)),
        test.take(tested),
        None if both is None else _some(both, sizes.training, seed),
    )
    return Cast(scene, tested)


def closed(training: TrainingLabels, horizon: int, instant: int) -> TrainingLabels:
    """The labels whose windows close before the instant."""
    rows = np.flatnonzero(training.time + horizon < instant)
    values = training.values
    taken = values.take(rows) if hasattr(values, "offsets") else values[rows]
    return TrainingLabels(training.entity[rows], training.time[rows], taken)


def early_scene(train: Examples, sizes: Sizes, seed: int, fit_on: FitOn = "train") -> tuple[int, Scene] | None:
    """A cut-off within training, and a scene before it whose database goes on after it; None where no window closes so early.

    Args:
        train: Training examples as a run hands them over, all of them.
    """
    horizon = train.task.known_after
    instants = np.unique(train.time)
    places = {int(EARLY * (len(instants) - 1)), len(instants) - 1}
    for place in sorted(places):
        instant = int(instants[place])
        learned, answered = _parts(train, instant, horizon)
        if len(learned) and len(answered):
            break
    else:
        return None
    if train.training is not None:
        train = replace(train, training=closed(train.training, horizon, instant))
    train = replace(train, fit_end=instant)
    known = train.take(learned)
    fitted, chosen = _validation(known)
    late = train.take(answered[sampled(train.take(answered), sizes.answered, seed)])
    late = replace(late, labels=None, cutoff=np.minimum(late.cutoff, instant))
    return instant, Scene(
        _some(known.take(fitted), sizes.training, seed),
        _some(known.take(chosen), sizes.answered, seed),
        late,
        _some(known, sizes.training, seed) if fit_on == "train+val" else None,
    )


def first_half(examples: Examples) -> tuple[int, Examples]:
    """The cut-off in the middle of all, and the examples that are cut off no later."""
    instants = np.unique(examples.cutoff)
    instant = int(instants[(len(instants) - 1) // 2])
    return instant, examples.take(np.flatnonzero(examples.cutoff <= instant))


def _some(examples: Examples, most: int, seed: int) -> Examples:
    return examples.take(sampled(examples, most, seed))


def _parts(train: Examples, instant: int, horizon: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Examples to learn from, whose windows close before the instant, and others to answer.

    Frozen examples are answered as if their split began at the instant; rolling ones see what precedes their own time.
    """
    is_closed = train.time + horizon < instant
    answered = ~is_closed & ((train.time >= instant) | (train.regime == "rolling"))
    if train.regime == "rolling":
        answered &= train.cutoff <= instant
        short = FEWEST - int(answered.sum())
        if short > 0 and train.task.own_row_visible:
            earlier = np.flatnonzero(is_closed)
            earlier = earlier[np.argsort(train.time[earlier], kind="stable")]
            answered[earlier[len(earlier) - min(short, len(earlier) // 4) :]] = True
    return np.flatnonzero(is_closed & ~answered), np.flatnonzero(answered)


def _validation(known: Examples) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Examples to fit and to validate on: the latest fifth of the times, or all where there is one time alone."""
    instants = np.unique(known.time)
    if len(instants) == 1:
        return np.arange(len(known)), np.arange(len(known))
    first = instants[min(int(0.8 * len(instants)), len(instants) - 1)]
    return np.flatnonzero(known.time < first), np.flatnonzero(known.time >= first)
