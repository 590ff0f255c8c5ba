"""95 % intervals hold the true difference of simulated methods in 93 to 97 % of repetitions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from random_examples import examples_of
from scipy.stats import norm

from relbench_harness.board.paired import paired
from relbench_harness.board.predictions import SplitLabels
from relbench_harness.data.task import TaskType

Real = NDArray[np.float64]


class World(NamedTuple):
    """Two simulated methods on the same examples, and by how much they differ in truth."""

    metric: str
    examples: SplitLabels
    first: list[Real]
    second: list[Real]
    difference: float


def entities(random: np.random.Generator, number: int) -> NDArray[np.int64]:
    """Whom examples are about: entities with one to five examples each."""
    return np.repeat(np.arange(number), random.integers(1, 6, number))


def correlated(random: np.random.Generator, entity: NDArray[np.int64], share: float) -> Real:
    """Standard normal errors of which `share` of the variance is the entity's own."""
    own = random.normal(size=int(entity.max()) + 1)[entity]
    return np.asarray(math.sqrt(share) * own + math.sqrt(1 - share) * random.normal(size=len(entity)))


def errors(random: np.random.Generator, number: int = 60, seeds: int = 1) -> World:
    """Regression: errors of both methods share a part; with several seeds, the size of a run's errors is chance."""
    entity = entities(random, number)
    examples = examples_of(TaskType.REGRESSION, entity, random)
    labels, shared = np.asarray(examples.labels), correlated(random, entity, 0.6)

    def runs(size: float) -> list[Real]:
        own = correlated(random, entity, 0.6)
        error = math.sqrt(0.7) * shared + math.sqrt(0.3) * own
        sizes = [size] if seeds == 1 else size * (1 + 0.1 * random.normal(size=seeds))
        return [labels + factor * error for factor in sizes]

    # the mean of |error| is its standard deviation times √(2/π)
    return World("mae", examples, runs(1.0), runs(1.2), -0.2 * math.sqrt(2 / math.pi))


def ranks(random: np.random.Generator, number: int = 100) -> World:
    """Binary: scores are the label times a shift plus an error, whose AUROC is Φ(shift / √2)."""
    entity = entities(random, number)
    examples = examples_of(TaskType.BINARY, entity, random)
    labels, shared = np.asarray(examples.labels), correlated(random, entity, 0.5)

    def run(shift: float) -> list[Real]:
        return [shift * labels + math.sqrt(0.5) * shared + math.sqrt(0.5) * correlated(random, entity, 0.5)]

    truth = float(norm.cdf(1.2 / math.sqrt(2)) - norm.cdf(0.8 / math.sqrt(2)))
    return World("roc_auc", replace(examples, labels=labels), run(1.2), run(0.8), truth)


WORLDS: Mapping[str, Callable[[np.random.Generator], World]] = {
    "errors": errors,
    "few entities": lambda random: errors(random, number=12),
    "five seeds": lambda random: errors(random, number=100, seeds=5),
    "ranks": ranks,
}


def coverage(make: Callable[[np.random.Generator], World], repetitions: int, draws: int) -> float:
    """The share of repetitions whose interval holds the truth."""
    held = 0
    for repetition in range(repetitions):
        world = make(np.random.default_rng([7, repetition]))
        found = paired(world.metric, world.examples, world.first, world.second, draws, seed=repetition)
        held += found.low <= world.difference <= found.high
    return held / repetitions


@pytest.mark.parametrize("name", WORLDS)
def test_intervals_cover_roughly(name: str) -> None:
    assert 0.86 <= coverage(WORLDS[name], 80, 300) <= 1


@pytest.mark.thorough
@pytest.mark.parametrize("name", WORLDS)
def test_intervals_cover(name: str) -> None:
    assert 0.93 <= coverage(WORLDS[name], 1000, 1000) <= 0.97


def test_intervals_that_take_rows_for_independent_cover_too_little() -> None:
    """The simulation tells the right way from the wrong one."""

    def independent(random: np.random.Generator) -> World:
        world = errors(random)
        return world._replace(examples=replace(world.examples, entity=np.arange(len(world.examples))))

    assert coverage(independent, 200, 300) < 0.91
