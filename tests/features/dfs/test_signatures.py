"""What a value rests on, and that its order does not depend on the process."""

from __future__ import annotations

import os
import subprocess
import sys

from relbench_harness.features.dfs.signatures import Always, Down, Hop, Up, changes_always, only_up

SEEN = Up("customer", "customers", frozenset())
COUNTED = Down((Hop("lines", "order"),), frozenset({SEEN}))


def test_what_rests_on_the_time_never_settles_however_deep() -> None:
    assert changes_always(frozenset({SEEN, Up("order", "orders", frozenset({Always()}))}))
    assert not changes_always(frozenset({SEEN, COUNTED}))


def test_only_up_looks_inside() -> None:
    assert only_up(frozenset({SEEN, Up("order", "orders", frozenset({SEEN}))}))
    assert not only_up(frozenset({Up("order", "orders", frozenset({COUNTED}))}))


def test_the_order_is_the_same_in_every_process() -> None:
    """Joins in another order add up in another order."""
    code = (
        "from relbench_harness.features.dfs.signatures import *\n"
        "inner = frozenset(Up(k, 'p', frozenset()) for k in 'abc')\n"
        "parts = {Up(k, 't', inner) for k in 'uvw'} | {Down((Hop('c', k),), inner) for k in 'xyz'} | {Always()}\n"
        "print([(type(p).__name__, getattr(p, 'key', ''), str(getattr(p, 'steps', ''))) for p in in_order(frozenset(parts))])"
    )
    found = {
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1 and "Always" in found.pop()
