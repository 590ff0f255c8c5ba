"""How values of other packages, and of the harness's data, are kept: each in the package's own format, never by pickle.

Packages are known by the name of a value's module, so that none is loaded for a model that does without it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.data.task import Task
from relbench_harness.errors import InputError
from relbench_harness.models.class_names import class_named, name_of
from relbench_harness.models.codec import Codec, Reader, Writer
from relbench_harness.protocol.method import Examples, Goal, Ragged, TrainingLabels

NUMBERS = "biufcmM"
"""Kinds of arrays that are kept as they are."""


def _is_of(value: object, *names: str) -> bool:
    return any(f"{kind.__module__}.{kind.__qualname__}" in names for kind in type(value).__mro__)


class Arrays:
    """NumPy arrays; texts as an Arrow array."""

    def matches(self, value: object) -> bool:
        return isinstance(value, np.ndarray)

    def write(self, value: NDArray[Any], into: Writer) -> dict[str, Any]:
        if value.dtype.kind in NUMBERS:
            return {"array": into.array(value)}
        if value.dtype.kind == "U" and value.ndim == 1:
            return {"texts": into.file("arrow", _ipc(pa.array(value.tolist(), pa.string()))), "type": value.dtype.str}
        raise InputError(f"an array of {value.dtype} cannot be kept")

    def read(self, node: Mapping[str, Any], source: Reader) -> NDArray[Any]:
        if "array" in node:
            return source.array(node["array"])
        return np.asarray(_read_ipc(source.content(node["texts"])).to_pylist(), dtype=node["type"])


class ArrowArrays:
    """Arrow arrays, as an Arrow file."""

    def matches(self, value: object) -> bool:
        return isinstance(value, pa.Array)

    def write(self, value: pa.Array, into: Writer) -> dict[str, Any]:
        return {"file": into.file("arrow", _ipc(value))}

    def read(self, node: Mapping[str, Any], source: Reader) -> pa.Array:
        return _read_ipc(source.content(node["file"]))


def _ipc(values: pa.Array) -> bytes:
    sink = pa.BufferOutputStream()
    table = pa.table({"values": values})
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def _read_ipc(content: bytes) -> pa.Array:
    column = pa.ipc.open_file(pa.py_buffer(content)).read_all().column("values")
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


class XGBoost:
    """Boosters of XGBoost, in its binary JSON (UBJ)."""

    def matches(self, value: object) -> bool:
        return _is_of(value, "xgboost.core.Booster")

    def write(self, value: Any, into: Writer) -> dict[str, Any]:
        return {"file": into.file("ubj", bytes(value.save_raw("ubj")))}

    def read(self, node: Mapping[str, Any], source: Reader) -> Any:
        import xgboost

        booster = xgboost.Booster()
        booster.load_model(bytearray(source.content(node["file"])))
        return booster


class LightGBM:
    """Boosters of LightGBM, in its text format, every round included."""

    def matches(self, value: object) -> bool:
        return _is_of(value, "lightgbm.basic.Booster")

    def write(self, value: Any, into: Writer) -> dict[str, Any]:
        return {"file": into.file("txt", value.model_to_string(num_iteration=-1).encode())}

    def read(self, node: Mapping[str, Any], source: Reader) -> Any:
        import lightgbm

        return lightgbm.Booster(model_str=source.content(node["file"]).decode())


class SynthesisedFeatures:
    """Tuples of featuretools' definitions, in its own JSON."""

    def matches(self, value: object) -> bool:
        base = "featuretools.feature_base.feature_base.FeatureBase"
        return isinstance(value, tuple) and len(value) > 0 and all(_is_of(one, base) for one in value)

    def write(self, value: tuple[Any, ...], into: Writer) -> dict[str, Any]:
        from featuretools.feature_base.features_serializer import FeaturesSerializer

        described = FeaturesSerializer(list(value)).to_dict()
        return {"file": into.file("features.json", json.dumps(described).encode())}

    def read(self, node: Mapping[str, Any], source: Reader) -> tuple[Any, ...]:
        from featuretools.feature_base.features_deserializer import FeaturesDeserializer

        described = json.loads(source.content(node["file"]))
        # it would read tables, pickled ones too, from a folder that is named there
        described["entityset"].pop("path", None)
        return tuple(FeaturesDeserializer(described).to_list())


class Devices:
    """A network's device: a GPU where the model had one and this machine has one, else the processor."""

    def matches(self, value: object) -> bool:
        return _is_of(value, "torch.device")

    def write(self, value: Any, into: Writer) -> dict[str, Any]:
        return {"type": value.type}

    def read(self, node: Mapping[str, Any], source: Reader) -> Any:
        import torch

        return torch.device("cuda" if node["type"] == "cuda" and torch.cuda.is_available() else "cpu")


class Tensors:
    """Tensors and parameters, as arrays; a parameter that two modules share stays one."""

    def matches(self, value: object) -> bool:
        return _is_of(value, "torch.Tensor")

    def write(self, value: Any, into: Writer) -> dict[str, Any]:
        learned = _is_of(value, "torch.nn.parameter.Parameter")
        plain = value.detach().cpu()
        return {"array": into.array(plain.numpy()), "parameter": learned, "cuda": value.device.type == "cuda"}

    def read(self, node: Mapping[str, Any], source: Reader) -> Any:
        import torch

        values = torch.from_numpy(source.array(node["array"]).copy())
        values = values.cuda() if node["cuda"] and torch.cuda.is_available() else values
        return torch.nn.Parameter(values, values.is_floating_point()) if node["parameter"] else values


class Modules:
    """Modules of networks: their class, their parts and their plain attributes. Nothing of a class is called to read one.

    A module of layers of another package has an attribute `made_from`, the arguments of its class: it is made from them again, and its
    weights are put in.
    """

    OWN = ("_parameters", "_buffers", "_modules")

    def matches(self, value: object) -> bool:
        return _is_of(value, "torch.nn.modules.module.Module")

    def write(self, value: Any, into: Writer) -> dict[str, Any]:
        import torch

        name, common = name_of(type(value)), vars(torch.nn.Module())
        if hasattr(value, "made_from"):
            weights = into.node(dict(value.state_dict()), f"{name}.state_dict")
            return {"class": name, "made_from": into.node(value.made_from, name), "weights": weights}
        if any(vars(value)[hooks] for hooks in common if "hooks" in hooks and isinstance(common[hooks], dict)):
            raise InputError(f"a network whose {name} has hooks cannot be kept")
        plain = {key: part for key, part in vars(value).items() if key not in common}
        parts = {key: into.node(dict(vars(value)[key]), f"{name}.{key}") for key in self.OWN}
        attributes = {key: into.node(part, f"{name}.{key}") for key, part in plain.items()}
        unsaved = sorted(value._non_persistent_buffers_set)
        return {"class": name, "parts": parts, "attributes": attributes, "unsaved": unsaved}

    def read(self, node: Mapping[str, Any], source: Reader) -> Any:
        import torch

        kind = class_named(node["class"])
        if not issubclass(kind, torch.nn.Module) or ("made_from" in node and kind.__module__.startswith("torch.")):
            raise InputError(f"{node['class']} is no module of a network")
        if "made_from" in node:
            made = kind(*source.value(node["made_from"]))
            weights = source.value(node["weights"])
            made.load_state_dict(weights)
            return made.to(next(iter(weights.values())).device).eval() if weights else made.eval()
        made = kind.__new__(kind)
        torch.nn.Module.__init__(made)
        for key in self.OWN:
            vars(made)[key].update(source.value(node["parts"][key]))
        vars(made).update({key: source.value(part) for key, part in node["attributes"].items()})
        made._non_persistent_buffers_set.update(node["unsaved"])
        return made.eval()


class Opened(NamedTuple):
    """What examples that a model holds are joined with when it is read.

    Attributes:
        database: The current rows, without columns that no method may see.
        training: The labels of training.
        rows: Row numbers of entities when the model was fitted → those of now, −1 where they are gone; None where all are the same.
    """

    task: Task
    database: Database
    training: TrainingLabels | None
    rows: NDArray[np.int64] | None


class HeldExamples:
    """Examples that a fitted method holds: how much of the database they see, and with labels also who they are.

    Their database is not kept; they are joined with as many rows of the current one.
    """

    def matches(self, value: object) -> bool:
        return isinstance(value, Examples)

    def write(self, value: Examples, into: Writer) -> dict[str, Any]:
        node = {
            "seen": {name: len(table) for name, table in value.database.items()},
            "regime": value.regime,
            "fit_end": value.fit_end,
            "classes": into.node(value.classes, "the classes"),
            "width": value.width,
        }
        if value.goal is not None:
            node["goal"] = list(value.goal)
        if value.labels is not None:
            arrays = {name: into.array(getattr(value, name)) for name in ("entity", "time", "cutoff")}
            node |= {"arrays": arrays, "labels": into.node(value.labels, "the labels")}
        return node

    def read(self, node: Mapping[str, Any], source: Reader) -> Examples:
        opened: Opened = source.context
        seen = {name: min(int(count), len(opened.database[name])) for name, count in node["seen"].items()}
        labels = source.value(node["labels"]) if "labels" in node else None
        none = np.zeros(0, np.int64)
        arrays = {n: source.array(node["arrays"][n]) if "arrays" in node else none for n in ("entity", "time", "cutoff")}
        found = Examples(
            task=opened.task,
            database=opened.database.prefixes(seen),
            **arrays,
            labels=labels,
            regime=node["regime"],
            fit_end=int(node["fit_end"]),
            classes=source.value(node["classes"]),
            width=int(node["width"]),
            training=opened.training,
            goal=Goal(*node["goal"]) if "goal" in node else None,
        )
        return _present(found, opened.rows)


def _present(examples: Examples, rows: NDArray[np.int64] | None) -> Examples:
    """The examples whose entities are still there, with the row numbers of now."""
    if rows is None:
        return examples
    moved = replace(examples, entity=rows[examples.entity])
    return moved.take(np.flatnonzero(moved.entity >= 0))


def present_labels(labels: TrainingLabels, rows: NDArray[np.int64] | None) -> TrainingLabels:
    """The labels of entities that are still there, with the row numbers of now."""
    if rows is None:
        return labels
    entity = rows[labels.entity]
    kept = np.flatnonzero(entity >= 0)
    values = labels.values.take(kept) if isinstance(labels.values, Ragged) else labels.values[kept]
    return TrainingLabels(entity[kept], labels.time[kept], values)


CODECS: Mapping[str, Codec] = {
    "array": Arrays(),
    "arrow": ArrowArrays(),
    "xgboost": XGBoost(),
    "lightgbm": LightGBM(),
    "features": SynthesisedFeatures(),
    "device": Devices(),
    "tensor": Tensors(),
    "module": Modules(),
    "examples": HeldExamples(),
}
