"""A signal that ends this process is not lost where a library makes something else of it.

What a signal's handler raises while DuckDB runs a query comes out as a RuntimeError, and code that C calls may drop it. Handlers
therefore note what they raise, and whoever is about to record a failure looks here first.

Invariant: what a signal ended is never recorded as a failure of a method.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_noted: list[KeyboardInterrupt] = []


def noted(interrupt: KeyboardInterrupt) -> KeyboardInterrupt:
    """`interrupt`, which a handler is about to raise."""
    _noted[:] = [interrupt]
    return interrupt


def end_if_signalled() -> None:
    """Raises what a handler has raised before, if one has."""
    if _noted:
        raise _noted[0]


@contextmanager
def own_signals() -> Iterator[None]:
    """Signals count within the block alone; an error that leaves it after one has come is that signal's."""
    _noted.clear()
    try:
        yield
    except Exception:
        end_if_signalled()
        raise
    finally:
        _noted.clear()
