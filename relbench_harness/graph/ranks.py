"""Several processes that learn one network: how they find each other, and what those of one machine share.

Invariant: what is computed does not depend on what is shared. Inside `joined` every process does the same in the same order; what
a machine's first process has written the others map, so structure and records of rows lie in its memory once.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import psutil
import torch
import torch.distributed as dist

from relbench_harness.data.cache import cache_home
from relbench_harness.errors import InputError

T = TypeVar("T")


def processes() -> int:
    """How many processes learn together, this one among them."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Which of them this one is, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


@dataclass
class _Shared:
    """Stores of one machine's processes.

    Attributes:
        is_first: Whether this process writes them.
    """

    folder: Path
    is_first: bool
    stores: list[Path] = field(default_factory=list)


_shared: ContextVar[_Shared | None] = ContextVar("shared", default=None)


@contextmanager
def joined(device: str = "auto") -> Iterator[None]:
    """The group of the processes that torchrun has started, as its variables in the environment say.

    Args:
        device: As in a budget; GPUs talk by NCCL, processors by Gloo.

    Raises:
        InputError: The variables do not describe a group that can be joined.
    """
    on_gpu = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    try:
        dist.init_process_group("nccl" if on_gpu else "gloo")
        is_first = int(os.environ.get("LOCAL_RANK", "0")) == 0
        several = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) > 1
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"the processes that torchrun starts do not find each other: {reason}") from None
    folder = _folder()
    token = _shared.set(_Shared(folder, is_first) if several else None)
    try:
        yield
    finally:
        _shared.reset(token)
        dist.destroy_process_group()
        if is_first:
            shutil.rmtree(folder, ignore_errors=True)


def _folder() -> Path:
    """A folder of the cache that the processes of one torchrun have in common; named, as those of runs are, by its owner."""
    agent = psutil.Process(os.getppid())
    return cache_home() / "runs" / f"{agent.pid}-{agent.create_time():.0f}-together"


def once_per_machine(build: Callable[[Path | None], T]) -> T:
    """What `build` gives. Inside `joined` the first process of each machine builds, and the others map what it has written.

    Args:
        build: Given a folder, opens what lies there or writes it first; given None, builds in memory.
    """
    shared = _shared.get()
    if shared is None:
        return build(None)
    folder = shared.folder / str(len(shared.stores))
    shared.stores.append(folder)
    found = build(folder) if shared.is_first else None
    dist.barrier()
    if found is None:
        found = build(folder)
    # until all have opened it, nobody ends and takes it away
    dist.barrier()
    return found
