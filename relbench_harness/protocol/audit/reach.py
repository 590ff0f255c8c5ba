"""What can be reached from an object: whatever it refers to, the variables that its functions close over or name among them.

Invariant: modules and classes as such are no one's hand-out, so the walk does not pass through them, except to the class of an
object and to the variables that a function names.
"""

from __future__ import annotations

import gc
import types
from collections.abc import Iterator
from typing import Any

MOST = 3_000_000
"""After so many objects the walk ends."""
ENDS = (types.ModuleType, types.CodeType, types.FrameType, types.BuiltinFunctionType, str, bytes, int, float, complex)
LIBRARIES = (
    "numpy",
    "pandas",
    "pyarrow",
    "torch",
    "duckdb",
    "scipy",
    "sklearn",
    "xgboost",
    "lightgbm",
    "builtins",
    "collections",
)


def reachable(root: Any) -> Iterator[tuple[str, Any]]:
    """(where, object) for all that can be reached from `root`, itself first; `where` is the type of what refers to it."""
    seen = {id(root)}
    # objects that are made on the way must live as long as their number is known
    kept: list[Any] = []
    waiting: list[tuple[str, Any]] = [(type(root).__name__, root)]
    while waiting and len(seen) < MOST:
        where, one = waiting.pop()
        kept.append(one)
        yield where, one
        for other in _referents(one):
            if id(other) not in seen and not isinstance(other, int | float | complex | None.__class__):
                seen.add(id(other))
                waiting.append((_named(one, where), other))


def _named(one: Any, where: str) -> str:
    """What an object is called where something else hangs on it: plain containers bear the name of what holds them."""
    if isinstance(one, dict | list | tuple | set | frozenset | types.CellType | types.MappingProxyType):
        return where
    if isinstance(one, types.FunctionType):
        return f"function {one.__qualname__}"
    return type(one).__name__


def _referents(one: Any) -> Iterator[Any]:
    if isinstance(one, types.FunctionType):
        yield from _of_function(one)
    elif isinstance(one, types.MethodType):
        yield from (one.__self__, one.__func__)
    elif isinstance(one, type):
        if not one.__module__.startswith(LIBRARIES):
            yield from (part for name, part in vars(one).items() if not name.startswith("__") or name == "__call__")
    elif isinstance(one, types.CellType):
        try:
            yield one.cell_contents
        except ValueError:
            return
    elif isinstance(one, property):
        yield from filter(None, (one.fget, one.fset))
    elif isinstance(one, staticmethod | classmethod):
        yield one.__func__
    elif not isinstance(one, ENDS):
        # the class of an object is among what it refers to
        yield from (part for part in gc.get_referents(one) if not isinstance(part, types.ModuleType))
        base = getattr(one, "base", None) if type(one).__module__ == "numpy" else None
        if base is not None:
            yield base


def _of_function(function: types.FunctionType) -> Iterator[Any]:
    """What a function closes over, its defaults, its attributes, and the variables of its module that its code names."""
    if (function.__module__ or "").startswith(LIBRARIES):
        return
    yield from function.__closure__ or ()
    yield from (function.__defaults__, function.__kwdefaults__, function.__dict__)
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        codes.extend(part for part in code.co_consts if isinstance(part, types.CodeType))
        for name in code.co_names:
            value = function.__globals__.get(name)
            if value is not None and not isinstance(value, types.ModuleType | type):
                yield value
