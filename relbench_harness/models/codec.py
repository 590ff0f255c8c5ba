"""A fitted predictor as a JSON tree and plain files, without pickle.

Dataclasses, named tuples, enumerations and network modules are written by import path and fields, arrays and boosters as files
in formats of their own. Invariant: reading calls no constructor, no `__post_init__` and no function of a class that is named; it
makes bare objects and sets their fields, and only of classes that `class_names` allows. What is no part of predictions stays out: an
object with a method `for_keeping` is replaced by what that returns.
"""

from __future__ import annotations

import base64
import datetime as dt
import io
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import pandas as pd

from relbench_harness.errors import InputError, nearest
from relbench_harness.models.class_names import class_named, name_of

KIND = "is"
"""The key that says what a node of the tree is."""
PREDICTOR = "predictor"
"""The stem of the names of a predictor's files."""


class Codec(Protocol):
    """How values of some type of another package, or of the harness's data, are written and read."""

    def matches(self, value: object) -> bool: ...
    def write(self, value: Any, into: Writer) -> dict[str, Any]: ...
    def read(self, node: Mapping[str, Any], source: Reader) -> Any: ...


@dataclass
class Writer:
    """Writes one value.

    Attributes:
        codecs: Kind → codec of types that are no plain structure; the first that matches writes a value.
        stem: How the names of its files begin.
        files: Name → content.
    """

    codecs: Mapping[str, Codec]
    stem: str = PREDICTOR
    files: dict[str, bytes] = field(default_factory=dict)
    _arrays: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    _seen: dict[int, tuple[int, object]] = field(default_factory=dict)

    def write(self, value: object) -> dict[str, bytes]:
        """The tree of `value`, its arrays and other files."""
        tree = self.node(value, type(value).__name__)
        with io.BytesIO() as file:
            np.savez(file, allow_pickle=False, **self._arrays)
            self.files[f"{self.stem}.npz"] = file.getvalue()
        self.files[f"{self.stem}.json"] = json.dumps(tree, indent=1, allow_nan=False, ensure_ascii=False).encode()
        return self.files

    def file(self, ending: str, content: bytes) -> str:
        """Puts `content` into a file of its own; returns its name."""
        name = f"{self.stem}-{len(self.files)}.{ending}"
        self.files[name] = content
        return name

    def array(self, values: np.ndarray[Any, Any]) -> str:
        """Puts an array of numbers beside the tree; returns its name."""
        name = f"a{len(self._arrays)}"
        self._arrays[name] = np.asarray(values)
        return name

    def node(self, value: Any, where: str) -> Any:
        """The node of `value`; `where` says in errors which part of the predictor it is."""
        if value is None or (isinstance(value, bool | str) and not isinstance(value, Enum)):
            return value
        if type(value) is int or (type(value) is float and math.isfinite(value)):
            return value
        if id(value) in self._seen:
            return {KIND: "same", "as": self._seen[id(value)][0]}
        whole = value.for_keeping() if hasattr(value, "for_keeping") and not isinstance(value, type) else value
        if type(whole) is not type(value):
            return self.node(whole, where)
        for kind, codec in self.codecs.items():
            if codec.matches(whole):
                return self._numbered(value, {KIND: kind, **codec.write(whole, self)})
        if is_dataclass(whole) and not isinstance(whole, type):
            name = name_of(type(whole))
            parts = {f.name: self.node(getattr(whole, f.name), f"{where}.{f.name}") for f in fields(whole)}
            return self._numbered(value, {KIND: "object", "class": name, "fields": parts})
        return self._structure(whole, where)

    def _numbered(self, value: object, node: dict[str, Any]) -> dict[str, Any]:
        """`node`, to which other nodes may refer. The value is held, so that no other gets its address."""
        number = len(self._seen)
        self._seen[id(value)] = (number, value)
        return {**node, "number": number}

    def _structure(self, value: Any, where: str) -> Any:
        kind = type(value)
        if isinstance(value, Enum):
            return {KIND: "enum", "class": name_of(kind), "name": value.name}
        if hasattr(kind, "_fields") and isinstance(value, tuple):
            parts = {name: self.node(getattr(value, name), f"{where}.{name}") for name in kind._fields}
            return {KIND: "named tuple", "class": name_of(kind), "fields": parts}
        if kind in COLLECTIONS.values():
            collection = next(name for name, known in COLLECTIONS.items() if known is kind)
            items = map(list, value.items()) if collection.endswith("mapping") else value
            items = sorted(value, key=repr) if collection.endswith("set") else items
            listed = [self.node(item, f"{where}[…]") for item in items]
            return listed if kind is list else {KIND: collection, "items": listed}
        if kind in SCALARS.values():
            name = next(name for name, known in SCALARS.items() if known is kind)
            return {KIND: name, "value": SHOWN.get(name, str)(value)}
        if isinstance(value, np.generic):
            return {KIND: "number", "type": value.dtype.str, "value": self.node(value.item(), where)}
        raise InputError(f"{where} is a {kind.__module__}.{kind.__qualname__}, which cannot be kept")


COLLECTIONS: Mapping[str, type] = {
    "list": list, "tuple": tuple, "set": set, "frozen set": frozenset, "mapping": dict, "frozen mapping": MappingProxyType,
}  # fmt: skip
SCALARS: Mapping[str, type] = {
    "float": float, "bytes": bytes, "date": dt.date, "datetime": dt.datetime, "timestamp": pd.Timestamp, "timedelta": pd.Timedelta,
}  # fmt: skip
SHOWN: Mapping[str, Callable[[Any], str]] = {
    "bytes": lambda value: base64.b64encode(value).decode("ascii"),
    "timestamp": lambda value: value.isoformat(),
    "timedelta": lambda value: value.isoformat(),
    "date": lambda value: value.isoformat(),
    "datetime": lambda value: value.isoformat(),
}
PARSED: Mapping[str, Callable[[str], Any]] = {
    "float": float,
    "bytes": lambda text: base64.b64decode(text, validate=True),
    "date": dt.date.fromisoformat,
    "datetime": dt.datetime.fromisoformat,
    "timestamp": pd.Timestamp,
    "timedelta": pd.Timedelta,
}


@dataclass
class Reader:
    """Reads what a `Writer` wrote.

    Attributes:
        context: What codecs need beside the files, such as the database.
    """

    codecs: Mapping[str, Codec]
    files: Mapping[str, bytes]
    context: Any = None
    stem: str = PREDICTOR
    _arrays: Any = None
    _known: dict[int, object] = field(default_factory=dict)

    def read(self) -> Any:
        """The value.

        Raises:
            InputError: A file is missing or cannot be read, or names a class that may not be read.
        """
        try:
            tree = json.loads(self.content(f"{self.stem}.json"))
            self._arrays = np.load(io.BytesIO(self.content(f"{self.stem}.npz")), allow_pickle=False)
            return self.value(tree)
        except InputError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, OSError, RecursionError) as error:
            raise InputError(f"{self.stem}.json does not hold a kept model: {type(error).__name__}: {error}") from None

    def content(self, name: str) -> bytes:
        """The file called `name`."""
        if name not in self.files:
            raise InputError(f"the file {name!r} is missing; {nearest(name, self.files)}")
        return self.files[name]

    def array(self, name: str) -> np.ndarray[Any, Any]:
        found: np.ndarray[Any, Any] = self._arrays[name]
        return found

    def value(self, node: Any) -> Any:
        if node is None or isinstance(node, bool | int | float | str):
            return node
        if isinstance(node, list):
            return [self.value(one) for one in node]
        kind = node[KIND]
        if kind == "same":
            return self._known[node["as"]]
        found = self.codecs[kind].read(node, self) if kind in self.codecs else self._structure(kind, node)
        if "number" in node:
            self._known[node["number"]] = found
        return found

    def _structure(self, kind: str, node: Mapping[str, Any]) -> Any:
        if kind in COLLECTIONS:
            items = [self.value(one) for one in node["items"]]
            return MappingProxyType(dict(items)) if kind == "frozen mapping" else COLLECTIONS[kind](items)
        if kind in PARSED:
            return PARSED[kind](str(node["value"]))
        if kind == "number":
            return np.dtype(node["type"]).type(self.value(node["value"]))
        found = class_named(node["class"])
        if kind == "enum" and issubclass(found, Enum):
            return found[node["name"]]
        parts = {name: self.value(part) for name, part in node["fields"].items()}
        if kind == "named tuple" and hasattr(found, "_fields"):
            return tuple.__new__(found, [parts[name] for name in found._fields])
        if kind == "object" and is_dataclass(found):
            return _bare(found, parts)
        raise InputError(f"{self.stem}.json: {node['class']} is no {kind}")


def _bare(kind: type, parts: Mapping[str, Any]) -> Any:
    """An object of the dataclass `kind` with its fields set. A field that later versions added has its default."""
    declared = {entry.name: entry for entry in fields(kind)}
    for name in parts:
        if name not in declared:
            raise InputError(f"{kind.__qualname__} has no field {name!r} in this version; {nearest(name, declared)}")
    made: Any = object.__new__(kind)
    for name, entry in declared.items():
        if name in parts:
            object.__setattr__(made, name, parts[name])
        elif entry.default is not MISSING:
            object.__setattr__(made, name, entry.default)
        elif entry.default_factory is not MISSING:
            object.__setattr__(made, name, entry.default_factory())
        else:
            raise InputError(f"{kind.__qualname__} needs a field {name!r} in this version, which the kept model lacks")
    return made
