"""The complete configuration of a method, as it stands in its results: every hyperparameter, those left at their defaults too.

Defaults live in dataclasses and a config names only what differs from them. Invariant: a stored result keeps its meaning when
a default changes, because it names every field of every part by value, and the class of the part by `_target_`.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from typing import Any

from relbench_harness.errors import InputError, nearest
from relbench_harness.protocol.result_versions import TARGET, renamed_key

HYDRA = (TARGET, "_partial_", "_args_", "_convert_", "_recursive_")
"""Keys of a part that say how it is made."""


def described(value: Any) -> Any:
    """`value` as a config would give it: a dataclass as a mapping of its fields with `_target_`, sequences as lists."""
    if is_dataclass(value) and not isinstance(value, type):
        return {TARGET: _name(type(value)), **{f.name: described(getattr(value, f.name)) for f in _hyperparameters(value)}}
    if isinstance(value, Mapping):
        return {str(key): described(inner) for key, inner in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(map(described, value), key=str)
    if isinstance(value, list | tuple):
        return [described(inner) for inner in value]
    if isinstance(value, Enum):
        return value.value
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def described_method(method: Any) -> dict[str, Any]:
    """The configuration of a method given as an object; of one that is no dataclass, the attributes that it has."""
    if is_dataclass(method):
        return dict(described(method))
    return {TARGET: _name(type(method)), **described(getattr(method, "__dict__", {}))}


def completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """`config` with the defaults of the dataclasses that its `_target_`s name, at every depth.

    What names no dataclass, such as a function, stays as it is given.

    Raises:
        InputError: A `_target_` that names nothing, or one place of a list that the config leaves at its default.
    """
    return _part(config, {}, defaults=True)


def with_targets(config: Mapping[str, Any]) -> dict[str, Any]:
    """`config` as it can be instantiated: a part that is given without `_target_` is the default part with the keys given."""
    return _part(config, {}, defaults=False)


def _part(given: Mapping[str, Any], default: Any, defaults: bool) -> dict[str, Any]:
    own = given.get(TARGET)
    base = _defaults(_located(own)) if isinstance(own, str) else default if _is_part(default) else {}
    for key, value in given.items():
        if isinstance(base.get(key), list) and isinstance(value, Mapping) and all(str(place).isdigit() for place in value):
            raise InputError(f"{str(key)!r} is a list that the config leaves at its default; give it as a whole")
    keys = {str(key): _value(value, base.get(key), defaults) for key, value in given.items()}
    return {**(base if defaults or TARGET in base else {}), **keys}


def _value(given: Any, default: Any, defaults: bool) -> Any:
    if isinstance(given, list | tuple):
        return [_value(inner, None, defaults) for inner in given]
    return _part(given, default, defaults) if isinstance(given, Mapping) else given


def _is_part(value: Any) -> bool:
    return isinstance(value, Mapping) and TARGET in value


def _defaults(target: Any) -> dict[str, Any]:
    """Field → default of a dataclass, as a config would give it; nothing for any other target."""
    if not (isinstance(target, type) and is_dataclass(target)):
        return {}
    return {f.name: described(_default(f)) for f in _hyperparameters(target) if _default(f) is not MISSING}


def _default(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def _hyperparameters(part: Any) -> list[Field[Any]]:
    return [field for field in fields(part) if field.init]


def check_key(config: Mapping[str, Any], key: str, root: str = "method") -> None:
    """Refuses a dotted `key` below `root` that the complete `config` cannot have.

    Raises:
        InputError: The key is unknown. The message names what an old key is called now, or else the nearest keys.
    """
    part: Any = config
    path = root
    for name in key.split("."):
        path = f"{path}.{name}"
        if isinstance(part, list):
            part = part[int(name)] if name.isdigit() and int(name) < len(part) else None
            continue
        if not isinstance(part, Mapping):
            return
        known = _keys(part)
        if known is not None and name not in known and name not in HYDRA:
            now = renamed_key(str(part.get(TARGET, "")), name)
            hint = f"it is called {now!r} now" if now in known else nearest(name, known)
            raise InputError(f"no key {path!r}; {hint}")
        part = part.get(name)


def _keys(part: Mapping[str, Any]) -> list[str] | None:
    """The keys that a part of a config may have; None where any key may be given."""
    target = _located(part[TARGET]) if TARGET in part else None
    if target is None:
        return None
    if isinstance(target, type) and is_dataclass(target):
        return [field.name for field in _hyperparameters(target)]
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        return None
    return [p.name for p in parameters]


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _located(target: str) -> Any:
    """What the dotted name `target` names.

    Raises:
        InputError: There is no such module or name.
    """
    module, dot, name = target.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name) if dot else None
    except (ImportError, AttributeError) as error:
        raise InputError(f"no {target!r}: {' '.join(str(error).split())}") from None
