"""rel-shop: a synthetic shop in which the causes of every label, and so the best possible score, are known."""

from __future__ import annotations

from pathlib import Path

from .settings import chosen
from .world import World


def build(scale: float, seed: int, causes: str, scratch: Path) -> dict[str, Path]:
    """The tables of a world.

    Args:
        scale: 1 is about 100 thousand rows; rows grow in proportion.
        seed: Determines every row.
        causes: `all`, `none`, or names of causes joined by `+`.
        scratch: Where the tables are written.
    """
    return World(scale, seed, chosen(causes)).write(scratch)
