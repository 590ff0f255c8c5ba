"""Progress bars for anything longer than two seconds, on a terminal only."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

T = TypeVar("T")
PATIENCE = 2.0
"""Seconds before a bar is shown."""


def track(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """`items` as they are, with a bar on standard error once the loop has taken two seconds; silent elsewhere."""
    if not sys.stderr.isatty():
        yield from items
        return
    if total is None and isinstance(items, Sized):
        total = len(items)
    start = time.monotonic()
    shown: Progress | None = None
    try:
        for done, item in enumerate(items):
            if shown is None and time.monotonic() - start > PATIENCE:
                shown = Progress(console=Console(stderr=True), transient=True)
                shown.start()
                bar = shown.add_task(label, total=total)
            if shown is not None:
                shown.update(bar, completed=done)
            yield item
    finally:
        if shown is not None:
            shown.stop()
