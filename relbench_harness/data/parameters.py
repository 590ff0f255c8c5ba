"""One name for one dataset: a parameter that has its default value is no part of the name, nor is the order of those that are given.

Invariant: nothing here runs a `build.py`; the defaults of its function `build` are read from its text.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from relbench_harness.data.manifest_file import read_manifest
from relbench_harness.data.names import Value, parse_address


def plain_address(address: str, folder: Path) -> tuple[str, Path, Mapping[str, Value]]:
    """The shortest address of the dataset at `address`, its folder, and the parameters that differ from their defaults.

    They stand in the order in which the dataset declares them; those that it does not know stay at the end, as given.

    Args:
        address: `name@key=value,…`, without a backtest.
        folder: Where the dataset lies.

    Raises:
        InputError: Its manifest cannot be read, or a parameter has another form.
    """
    name, parameters = parse_address(address)
    if not parameters:
        return address, folder, MappingProxyType({})
    rest = address.partition("@")[2]
    written = {part.partition("=")[0]: part.partition("=")[2].strip() for part in filter(None, rest.split(","))}
    defaults = _defaults(folder)
    kept = [key for key in parameters if not (key in defaults and _equal(parameters[key], defaults[key]))]
    order = list(defaults)
    kept.sort(key=lambda key: order.index(key) if key in order else len(order))
    texts = ",".join(f"{key}={written[key]}" for key in kept)
    return name + (f"@{texts}" if kept else ""), folder, MappingProxyType({key: parameters[key] for key in kept})


def _defaults(folder: Path) -> dict[str, Any]:
    """Parameter → default: those of the manifest, which go first, then those of `build`."""
    declared = read_manifest(folder / "manifest.yaml", "dataset manifest").get("parameters")
    known = dict(declared) if isinstance(declared, dict) else {}
    return known | {key: value for key, value in build_defaults(folder).items() if key not in known}


def build_defaults(folder: Path) -> dict[str, Any]:
    """Parameter → default, in order, of the function `build` in the `build.py` of `folder`, where the default is a literal."""
    script = folder / "build.py"
    if not script.is_file():
        return {}
    try:
        body = ast.parse(script.read_bytes()).body
    except (SyntaxError, ValueError):
        # what is wrong with the script is said where it is run
        return {}
    found: dict[str, Any] = {}
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name == "build":
            found = _literals(node.args)
    return found


def _literals(arguments: ast.arguments) -> dict[str, Any]:
    plain = [*arguments.posonlyargs, *arguments.args]
    pairs: list[tuple[ast.arg, ast.expr | None]] = []
    pairs += zip(plain[len(plain) - len(arguments.defaults) :], arguments.defaults, strict=True)
    pairs += zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    found = {}
    for argument, default in pairs:
        try:
            found[argument.arg] = ast.literal_eval(default) if default is not None else ...
        except ValueError:
            continue
    return {key: value for key, value in found.items() if value is not ...}


def _equal(one: object, other: object) -> bool:
    """Whether two values build the same; 1 and 1.0 do, 1 and true do not."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)
