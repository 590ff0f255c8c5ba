"""A run leaves the process as it found it: generators and thread counts."""

from __future__ import annotations

import random
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from shop_folder import write_shop
from threadpoolctl import threadpool_info

from relbench_harness.protocol.method import Budget, Examples
from relbench_harness.protocol.process_state import process_state
from relbench_harness.protocol.run import Run
from relbench_harness.protocol.stages import Stages


def state() -> list[Any]:
    pools = sorted((pool["filepath"], pool["num_threads"]) for pool in threadpool_info())
    kind, keys, *rest = np.random.get_state()
    return [random.getstate(), kind, keys.tolist(), rest, torch.get_rng_state().tolist(), torch.get_num_threads(), pools]


def drawn() -> list[float]:
    return [random.random(), float(np.random.random()), float(torch.rand(1))]


@pytest.fixture(autouse=True)
def three_threads() -> Any:
    """A thread count that no budget of these tests has, taken back at the end."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("fails", [False, True])
def test_generators_and_threads_are_given_back(fails: bool) -> None:
    before = state()
    within = []
    for seed in (5, 5, 6):
        with pytest.raises(MemoryError) if fails else nullcontext(), process_state(seed, 1):
            assert torch.get_num_threads() == 1
            within.append(drawn())
            torch.set_num_threads(2)
            torch.manual_seed(9)
            if fails:
                raise MemoryError
        assert state() == before
    assert within[0] == within[1] and all(a != b for a, b in zip(within[0], within[2], strict=True))


@dataclass(frozen=True)
class Draws:
    """Learns from global generators, and sets them and the number of threads, as methods of other packages do."""

    fails: bool = False

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Draws:
        assert torch.get_num_threads() == budget.threads
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)
        torch.set_num_threads(2)
        if self.fails:
            raise MemoryError
        return self

    def predict(self, examples: Examples) -> NDArray[np.float64]:
        return np.random.random(len(examples))


@pytest.mark.parametrize("method", [Draws(), Draws(fails=True)])
def test_a_run_gives_them_back_whatever_its_method_does(method: Draws, tmp_path: Path) -> None:
    shop = write_shop(tmp_path / "shop")
    before = state()
    result, _ = Run(Stages(shop, shop.task("churn"), "rolling"), method, "draws", Budget(threads=1)).execute()
    assert result.ok != method.fails
    assert state() == before
