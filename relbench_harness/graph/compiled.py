"""Compilation of kernels: numba, machine code cached beside the source, the interpreter's lock released while they run.

Kernels are single-threaded; parallel work is several calls from several Python threads. So a kernel never depends on how
many threads there are, and numba's own thread pools, which must not be entered twice at a time, are not needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(function: Kernel) -> Kernel:
    """`function` as machine code."""
    return cast(Kernel, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def inlined(function: Kernel) -> Kernel:
    """`function` as machine code, merged into the kernels that call it."""
    return cast(Kernel, numba.njit(cache=True, nogil=True, error_model="numpy", inline="always")(function))
