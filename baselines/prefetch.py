"""Prepares the next batches in a thread while the network works on the present one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(make: Callable[[int], T], count: int, depth: int = 3) -> Iterator[T]:
    """make(0), make(1), … in order, up to `depth` of them made before they are asked for."""
    with ThreadPoolExecutor(1, thread_name_prefix="reader") as pool:
        waiting: deque[Future[T]] = deque()
        for index in range(count):
            waiting.append(pool.submit(make, index))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
