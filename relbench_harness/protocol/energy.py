"""What the GPU of a run drew, by the driver's own counter.

Invariant: it never fails. Where there is no driver, no counter or no such GPU there is no figure. The counter is that of the
whole GPU: idle draw and what other programs make of it are in it.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from functools import cache
from typing import Any

LIBRARY = "libnvidia-ml.so.1"
MILLIJOULES = 1000.0


def energy(device: str) -> float | None:
    """Joules that the GPU of `device` has drawn since the driver was loaded; None where nothing tells.

    Args:
        device: As in a budget: `auto`, `cpu`, `cuda` or `cuda:1`.
    """
    if device == "cpu" or (driver := _driver()) is None:
        return None
    number = int(device.partition(":")[2] or 0)
    with suppress(Exception):
        handle = _handle(driver, number)
        counted = ctypes.c_ulonglong()
        if handle is not None and driver.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(counted)) == 0:
            return counted.value / MILLIJOULES
    return None


def drawn(before: float | None, after: float | None) -> float | None:
    """Joules between two readings; None where one of them is missing or the counter began anew."""
    if before is None or after is None or after < before:
        return None
    return round(after - before, 1)


def _handle(driver: Any, number: int) -> ctypes.c_void_p | None:
    """The GPU that programs know as `number`: variables of the environment may hide some and change their order."""
    handle = ctypes.c_void_p()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    name = str(number) if visible is None else visible.split(",")[number].strip()
    if name.isdigit():
        found = driver.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(int(name)), ctypes.byref(handle))
    else:
        found = driver.nvmlDeviceGetHandleByUUID(name.encode(), ctypes.byref(handle))
    return handle if found == 0 else None


@cache
def _driver() -> Any:
    """NVIDIA's management library, ready to be asked; None without one."""
    with suppress(Exception):
        library = ctypes.CDLL(LIBRARY)
        if library.nvmlInit_v2() == 0:
            return library
    return None
