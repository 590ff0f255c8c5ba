"""The command `cache`: what built databases and cut tables take on the disk, and removing what nothing used lately."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from relbench_harness.errors import InputError
from relbench_harness.streams import show

if TYPE_CHECKING:
    from relbench_harness.data.cache_contents import Cached

MB = 1e6


def add_cache(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the command to the shell."""
    cache = commands.add_parser(
        "cache",
        help="say what the cache takes on the disk, and remove what was not used lately",
        description="The cache holds databases as built from their sources and tables as cut for runs. All of it is made "
        "again where it is needed. RELBENCH_HARNESS_CACHE names another folder.",
    )
    cache.add_argument(
        "--remove-unused",
        type=float,
        metavar="DAYS",
        help="remove what was neither read nor written for DAYS days, 1 or more",
    )
    cache.set_defaults(act=_cache)


def _cache(parsed: argparse.Namespace) -> int:
    from relbench_harness.data.cache import cache_home
    from relbench_harness.data.cache_contents import contents, remove_unused

    days = parsed.remove_unused
    if days is not None and not days >= 1:
        raise InputError(f"--remove-unused takes a number of days from 1, not {days:g}: a run may still need what is newer")
    things = contents()
    if days is None:
        show(f"{cache_home()} holds {_size(things)}")
        for kind in dict.fromkeys(one.kind for one in things):
            _list([one for one in things if one.kind == kind], kind)
        return 0
    gone = remove_unused(things, days)
    show(f"removed {len(gone)} of {len(things)} things, {_size(gone)} of {_size(things)}")
    return 0


def _list(things: Sequence[Cached], kind: str) -> None:
    show(f"{kind}: {len(things)}, {_size(things)}, last used {_day(max(one.used for one in things))}")
    if kind == "built databases":
        for one in sorted(things, key=lambda one: one.used):
            show(f"  {one.path.name}  {_size([one])}  last used {_day(one.used)}")


def _size(things: Sequence[Cached]) -> str:
    return f"{sum(one.size for one in things) / MB:,.1f} MB"


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
