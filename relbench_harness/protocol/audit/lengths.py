"""Settings that say how long a method learns, and the same method with few rounds of it.

What a method looks at does not depend on how long it looks. So an audit may be of a method that learns for a moment, and is about
one that learns for an hour. Invariant: nothing but the settings in `LENGTHS` is changed, and none is made greater.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from types import MappingProxyType
from typing import Any, TypeVar

from relbench_harness.protocol.audit.scenes import Sizes

LENGTHS: Mapping[str, int] = MappingProxyType({"n_estimators": 20, "ensemble_size": 1, "epochs": 3, "steps_per_epoch": 4})
"""Settings of trees and networks that say how long they learn → their greatest value in a short audit."""
SHORT = Sizes(training=400, answered=150)
"""How many examples a short audit uses, at most."""
Part = TypeVar("Part")


def shortened(part: Part) -> Part:
    """A method, or what is nested in its fields, with the settings of `LENGTHS` no greater than there."""
    if is_dataclass(part) and not isinstance(part, type):
        values = {entry.name: getattr(part, entry.name) for entry in fields(part) if entry.init}
        changed = {name: _short(name, value) for name, value in values.items()}
        return replace(part, **{name: value for name, value in changed.items() if value is not values[name]})
    inside: Part = _inside(part, shortened)
    return inside


def short_config(config: Any) -> Any:
    """A configuration as it describes the shortened method."""
    if isinstance(config, Mapping):
        return {key: _least(key, value) if _is_length(key, value) else short_config(value) for key, value in config.items()}
    return _inside(config, short_config)


def without_lengths(config: Any) -> Any:
    """A configuration without the settings that say how long a method learns."""
    if isinstance(config, Mapping):
        return {key: without_lengths(value) for key, value in config.items() if not _is_length(key, value)}
    return _inside(config, without_lengths)


def _short(name: str, value: Any) -> Any:
    return _least(name, value) if _is_length(name, value) else shortened(value)


def _least(name: str, value: int) -> int:
    return min(value, LENGTHS[name])


def _is_length(name: object, value: Any) -> bool:
    return name in LENGTHS and isinstance(value, int) and not isinstance(value, bool)


def _inside(value: Any, change: Any) -> Any:
    """`value` with its items changed, the same object where none is."""
    if isinstance(value, Mapping):
        made: Any = {key: change(inner) for key, inner in value.items()}
        same = all(made[key] is value[key] for key in made)
    elif isinstance(value, list | tuple) and type(value) in (list, tuple):
        made = type(value)(change(inner) for inner in value)
        same = all(one is other for one, other in zip(made, value, strict=True))
    else:
        return value
    return value if same else made
