"""Optional parts of encoder, backbone, head and training data; each can be left out by name.

`docs/models.md` says what each is, `docs/ablations/` what each is worth.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, get_args

from relbench_harness.errors import InputError, nearest

Mechanism = Literal[
    "as_of_links",
    "parent_residuals",
    "multi_aggregation",
    "entity_summary",
    "scaling_layer",
    "simulated_staleness",
]
MECHANISMS: tuple[Mechanism, ...] = get_args(Mechanism)


def check_mechanisms(names: Collection[str]) -> None:
    """Raises `InputError` for a name that no mechanism has."""
    for name in names:
        if name not in MECHANISMS:
            raise InputError(f"no mechanism {name!r} to leave out; {nearest(name, MECHANISMS)}")
