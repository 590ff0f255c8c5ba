"""What a run sets for the whole process, and gives back: the global random generators and the number of threads.

Invariant: after a run, `random`, numpy's and torch's generators and thread counts are as they were before it, whatever the method
did to them. What a run imports for the first time had no state before, and none of it is given back.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from threadpoolctl import threadpool_limits


@contextmanager
def process_state(seed: int, threads: int) -> Iterator[None]:
    """Seeds the global generators and limits threads while the block runs.

    The generators are for methods that use them; a method's own come from `Budget.seed`.
    """
    plain, numpy_state = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    try:
        with _torch_state(seed, threads), threadpool_limits(threads):
            yield
    finally:
        random.setstate(plain)
        np.random.set_state(numpy_state)


@contextmanager
def _torch_state(seed: int, threads: int) -> Iterator[None]:
    """The same for torch, where it is loaded: its thread count is not among those that threadpoolctl knows."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    state, count = torch.get_rng_state(), torch.get_num_threads()
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    try:
        yield
    finally:
        torch.set_num_threads(count)
        torch.set_rng_state(state)
        if devices:
            torch.cuda.set_rng_state_all(devices)
