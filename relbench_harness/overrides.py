"""Settings as they are given on a command line, `KEY=VALUE`, made readable for Hydra.

Hydra's grammar takes neither an address with a bare `=` nor a path with an umlaut, and refuses a field of a method that its
config does not name. Here such values are put in quotes, and such fields are added.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from relbench_harness.errors import InputError

METHOD = "method."
"""How the keys of a method's own fields begin."""
MULTIRUN = {"-m", "--multirun"}


def key_of(override: str) -> str:
    """The key that an override sets, without the signs that add or delete one."""
    return override.partition("=")[0].lstrip("+~")


def unforced(override: str) -> str:
    """An override as it was given, before `readable` let it add a field of a method."""
    return override.removeprefix("++") if override.startswith(f"++{METHOD}") else override


def readable(overrides: Sequence[str]) -> list[str]:
    """The overrides as Hydra reads them: a value that is not of its grammar, such as a path with an umlaut, in quotes.

    Fields of a method are set whether its config names them or not: their defaults are those of its class.

    Raises:
        InputError: One that has no value, or several outside a sweep.
    """
    parser, sweeps = OverridesParser.create(), bool(MULTIRUN & set(overrides))
    found = []
    for given in overrides:
        one = given if given.startswith("-") else quoted(given)
        if not one.startswith(("-", "~")):
            key, equals, value = one.partition("=")
            if not equals or not key:
                raise InputError(f"{given!r} sets nothing; a setting is KEY=VALUE, such as seed=1")
            try:
                parsed = parser.parse_override(one)
            except HydraException:
                # in quotes a backslash is itself, but before a quote
                escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + found[2].replace("'", "\\'"), value)
                one = f"{key}='{escaped}'"
                parsed = None
            if parsed is not None and parsed.is_sweep_override() and not sweeps:
                raise InputError(f"{given!r} gives several values; run -m runs each of them")
        found.append(f"++{one}" if one.startswith(METHOD) else one)
    return found


def quoted(override: str) -> str:
    """A `task=` override with each address in quotes, and one of `retry=` whole, for Hydra takes no bare `=`, and a comma for the next address.

    An address ends in `/task`, so a piece without a slash is continued by the next: `shop@scale=10,seed=1/churn` is one.
    """
    key, _, value = override.partition("=")
    if key == "retry" and value[:1] not in ("'", '"'):
        # several kinds of failure are one value
        return f"retry='{value}'"
    if key != "task" or "@" not in value or value[:1] in "'\"[":
        return override
    addresses: list[str] = []
    pending = ""
    for piece in value.split(","):
        pending = f"{pending},{piece}" if pending else piece
        if "/" in piece:
            addresses.append(pending)
            pending = ""
    return "task=" + ",".join(f"'{address}'" for address in [*addresses, *filter(None, [pending])])
