"""Compilation of kernels: numba, machine code cached, the interpreter's lock released while they run.

Kernels are single-threaded; parallel work is several calls from several Python threads. So a kernel never depends on how
many threads there are, and numba's own thread pools, which must not be entered twice at a time, are not needed.

A kernel is compiled when it is first called, alone with what it calls. Its machine code is kept beside the source, or in the
harness's cache folder where nothing can be written beside it. What compiling takes is the phase `compile` of a run.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

from relbench_harness.data.cache import KERNELS, kernels_home
from relbench_harness.timing import moved

if (_kept := kernels_home()) is not None:
    os.environ[KERNELS] = str(_kept)

import numba
from numba.core import event

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


class _Compiling(event.Listener):
    """Charges what compiling takes to the phase `compile`; what is compiled for another kernel is part of that one."""

    def __init__(self) -> None:
        self._begun = threading.local()

    def on_start(self, _: Any) -> None:
        open_ = self._begun.__dict__.setdefault("times", [])
        open_.append(time.perf_counter())

    def on_end(self, _: Any) -> None:
        begun = self._begun.times.pop()
        if not self._begun.times:
            moved("compile", time.perf_counter() - begun)


event.register("numba:compile", _Compiling())  # type: ignore[no-untyped-call]


def compiled(function: Kernel) -> Kernel:
    """`function` as machine code."""
    return cast(Kernel, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
