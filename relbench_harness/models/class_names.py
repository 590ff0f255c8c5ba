"""Which classes a kept model may name, by import path.

Invariant: a name leads to a class only where its package is one of the harness's, of an installed plugin's or, for parts of networks,
of `torch.nn`; nothing else is imported, and no function is ever named.
"""

from __future__ import annotations

import re
from importlib import import_module

from relbench_harness.errors import InputError
from relbench_harness.plugins import plugins

NAME = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
OURS = "relbench_harness"
LAYERS = "torch.nn.modules"


def name_of(kind: type) -> str:
    """The import path by which `kind` is kept.

    Raises:
        InputError: A kept model could not be read with it.
    """
    name = f"{kind.__module__}:{kind.__qualname__}"
    _check(name)
    if "<locals>" in name or class_named(name) is not kind:
        raise InputError(f"class {name} cannot be kept: it is not found by that name again")
    return name


def class_named(name: str) -> type:
    """The class that `name` stands for.

    Raises:
        InputError: It is no name of a class that a kept model may hold.
    """
    _check(name)
    module, _, path = name.partition(":")
    try:
        found: object = import_module(module)
        for part in path.split("."):
            found = vars(found)[part]
    except (ImportError, KeyError, TypeError):
        raise InputError(f"class {name} is not there in this version") from None
    if not isinstance(found, type) or f"{found.__module__}:{found.__qualname__}" != name:
        raise InputError(f"{name} is no class")
    return found


def _check(name: str) -> None:
    package = name.partition(":")[0]
    inside = any(package == known or package.startswith(f"{known}.") for known in (OURS, LAYERS, *_plugins()))
    if not inside or not NAME.fullmatch(name.replace("<locals>", "locals")):
        raise InputError(
            f"class {name} belongs neither to relbench_harness nor to an installed plugin, so no kept model may hold it"
        )


def _plugins() -> list[str]:
    return [one.package for one in plugins()]
