"""Where a network computes, with which precision, and PyTorch's generators and threads inside a run.

Invariant: nothing global is left changed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from relbench_harness.errors import InputError
from relbench_harness.protocol.method import Budget


def device_of(budget: Budget) -> torch.device:
    """The device that `budget.device` names: `auto` is a GPU where there is one, this process's own under torchrun."""
    name = budget.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"device {budget.device!r} cannot be used: this machine has no usable GPU")
    if name == "cuda":
        name = f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % torch.cuda.device_count()}"
    try:
        return torch.device(name)
    except RuntimeError:
        raise InputError(f"unknown device {budget.device!r}; known: auto, cpu, cuda") from None


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 on a GPU, plain float32 elsewhere."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


@contextmanager
def seeded(budget: Budget) -> Iterator[None]:
    """PyTorch's generators seeded and its threads set inside, both as they were before outside."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng():
        torch.manual_seed(budget.seed)
        torch.set_num_threads(budget.threads)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
