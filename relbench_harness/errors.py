"""Errors a user can mend: one clear sentence that names the thing at fault, shown by the shell with exit code 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input. The message is one sentence naming the file, table, column, key or value at fault."""


class ResultWarning(UserWarning):
    """A result that somebody should look at before believing it."""


def nearest(name: str, choices: Iterable[str], most: int = 3) -> str:
    """A closing clause for an unknown `name`: the nearest of `choices`, or all of them when few."""
    known = sorted(set(choices))
    if not known:
        return "none is known"
    close = difflib.get_close_matches(name, known, n=most, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    shown = ", ".join(known[:20]) + (", …" if len(known) > 20 else "")
    return f"known: {shown}"
