"""rel-shop's own modules, and its worlds, for the tests of it."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.dataset import Dataset, open_dataset
from relbench_harness.data.labels import Split
from relbench_harness.data.script_file import load_script
from relbench_harness.data.truth import Truth
from relbench_harness.home import home
from relbench_harness.protocol.method import Labels, label_values
from relbench_harness.protocol.metrics import Scores, score
from relbench_harness.protocol.stages import Stages


@cache
def shop() -> ModuleType:
    """`build.py`; its neighbours with `part`."""
    return load_script(home("datasets") / "rel-shop" / "build.py")


def part(name: str) -> ModuleType:
    return import_module(f"{shop().__name__}.{name}")


@cache
def world(address: str = "rel-shop@scale=1") -> Dataset:
    return open_dataset(address)


@cache
def stages_and_truth(address: str, task: str, split: Split = "test") -> tuple[Stages, Truth]:
    dataset = world(address)
    truth = dataset.truth(dataset.task(task), split)
    assert truth is not None
    return Stages(dataset, dataset.task(task), "frozen"), truth


def scored(stages: Stages, labels: Labels, answers: NDArray[np.generic], classes: tuple[str, ...]) -> Scores:
    if classes:
        answers = answers[:, [classes.index(str(c)) for c in stages.classes]]
    return score(stages.task, labels, answers, stages.scale, len(stages.classes))


def drawn(stages: Stages, truth: Truth, times: int) -> list[Scores]:
    """Scores of the true answers on labels drawn anew."""
    random = np.random.default_rng(0)
    return [
        scored(stages, label_values(stages.task, truth.draw(random), stages.classes), truth.answers, truth.classes)
        for _ in range(times)
    ]
