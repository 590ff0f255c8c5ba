"""What commands say on standard output and standard error.

Invariant: a reader of standard output that has gone does not end the work.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def say(sentence: str) -> None:
    """A line on standard error."""
    print(f"relbench-harness: {sentence}", file=sys.stderr, flush=True)


def show(line: str) -> None:
    """A line on standard output as it is now: while bars are drawn, the line goes above them."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        unread()


def unread() -> None:
    """From here on what is said on standard output goes nowhere, for its reader has gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def standard_output() -> Console:
    """Standard output as rich writes to it."""
    from rich.console import Console

    class Standard(Console):
        def on_broken_pipe(self) -> None:
            unread()

    return Standard()
