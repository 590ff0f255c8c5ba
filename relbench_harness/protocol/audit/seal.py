"""Check: the labels of the test split are in nothing that the method is handed.

Their bytes, as arrays and as text, are searched for in the pickled examples, in all that can be reached from the examples, from the
method and from what it has become, in the environment, and in what a sandbox hands over (`handed`). An object that knows
labels, such as the dataset, must not be reached at all; nor may the task name the folder in which hosted labels lie.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from relbench_harness.data.dataset import Dataset
from relbench_harness.data.labels import LabelTable
from relbench_harness.protocol.audit.reach import reachable
from relbench_harness.protocol.audit.report import Figure, Finding
from relbench_harness.protocol.audit.subject import Subject
from relbench_harness.protocol.holdout import Holdout
from relbench_harness.protocol.method import Labels, Ragged
from relbench_harness.protocol.stages import Stages

KNOWING = (Dataset, Stages, Holdout, LabelTable)
"""Objects that know labels of the test split."""
BITS = 60
"""How much a run of labels must tell before it is no coincidence to find it."""
LONGEST = 20_000
WINDOWS = 3
MOST_BYTES = 2**31
"""A larger database is not pickled."""
TYPES: tuple[str, ...] = ("f8", "f4", "i8", "i4", "i2", "i1")


@dataclass(frozen=True)
class LabelSeal:
    """
    Attributes:
        handed: Name → bytes, or a file or folder, that a method is handed besides its examples, as by a sandbox.
    """

    handed: Mapping[str, bytes | Path] = field(default_factory=lambda: MappingProxyType({}))
    name: str = "label seal"

    def find(self, subject: Subject) -> Finding:
        labels = subject.stages.examples("test").labels
        assert labels is not None
        searched = patterns(labels, subject.stages.labels("test").target)
        figures: dict[str, Figure] = {"patterns": len(searched), "bytes": 0, "objects": 0}
        for fault in self._faults(subject, searched, figures):
            return Finding(self.name, "failed", f"{fault[0].upper()}{fault[1:]}.", figures)
        if not searched:
            evidence = "Nothing that knows labels can be reached; the labels are too much alike to be searched for."
            return Finding(self.name, "passed", evidence, figures)
        evidence = (
            f"Test labels are in none of {figures['objects']:,} objects and {figures['bytes']:,} bytes that the method can "
            "reach in memory; what it may read by path only a sandbox can seal."
        )
        return Finding(self.name, "passed", evidence, figures)

    def _faults(self, subject: Subject, searched: list[bytes], figures: dict[str, Figure]) -> Iterator[str]:
        scene = subject.scene
        if any(part.task.folder is not None for part in scene.parts):
            yield "the task names the folder in which its hosted labels lie"
        roots = {"the method": subject.learner.method, "its examples": scene, "the fitted method": subject.predictor}
        for what, root in roots.items():
            for where, one in reachable(root):
                figures["objects"] = int(figures["objects"]) + 1
                if isinstance(one, KNOWING):
                    yield f"{what} can reach a {type(one).__name__}, which knows labels, through {where}"
                if _holds(_contents(one), searched, figures):
                    yield f"{what} can reach labels of the test split in a {type(one).__name__} of {where}"
        environment = "\n".join(f"{name}={value}" for name, value in os.environ.items())
        handed = {"the environment": environment.encode("utf-8", "surrogateescape"), **self.handed}
        for what, given in handed.items():
            if _holds(_files(given), searched, figures):
                yield f"labels of the test split lie in {what}"
        if sum(table.rows.nbytes for table in scene.answered.database.values()) <= MOST_BYTES:
            for part in scene.parts:
                if _holds([pickle.dumps(part, protocol=5)], searched, figures):
                    yield "labels of the test split lie in the pickled examples"


def patterns(labels: Labels, target: pa.Array) -> list[bytes]:
    """Runs of consecutive labels, each long enough to be no coincidence, as arrays of every type and as text."""
    values = labels.values if isinstance(labels, Ragged) else labels.ravel()
    found: list[bytes] = []
    for first, last in _windows(np.asarray(values)):
        run = np.asarray(values)[first:last]
        for kind in TYPES:
            with np.errstate(all="ignore"):
                cast = run.astype(kind)
            if np.array_equal(cast.astype(np.float64), run.astype(np.float64)) or kind == "f4":
                found.append(cast.tobytes())
        for texts in ([str(value) for value in run.tolist()], [f"{value:g}" for value in run.tolist()]):
            found += [sign.join(texts).encode() for sign in (",", ", ", "\n", " ", "")]
    if pa.types.is_string(target.type) or pa.types.is_large_string(target.type):
        names = np.asarray(target.to_pylist())
        found += ["".join(names[first:last]).encode() for first, last in _windows(np.unique(names, return_inverse=True)[1])]
    return list(dict.fromkeys(found))


def _windows(values: NDArray[Any]) -> list[tuple[int, int]]:
    """Runs of values that tell at least `BITS`, as far apart as there are."""
    if not len(values):
        return []
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    information = np.concatenate([[0.0], np.cumsum(-np.log2(counts / len(values))[inverse])])
    found = []
    for start in np.linspace(0, len(values), WINDOWS, endpoint=False).astype(np.int64):
        end = int(np.searchsorted(information, information[start] + BITS, side="left"))
        if end <= len(values) and end - start <= LONGEST:
            found.append((int(start), end))
    return list(dict.fromkeys(found))


def _contents(one: Any) -> Iterator[bytes | memoryview]:
    """The bytes that an object holds itself."""
    if isinstance(one, np.ndarray):
        if one.dtype != object and one.size:
            yield np.ascontiguousarray(one).tobytes()
    elif isinstance(one, pa.Table):
        for column in one.columns:
            yield from _contents(column)
    elif isinstance(one, pa.ChunkedArray):
        for chunk in one.chunks:
            yield from _contents(chunk)
    elif isinstance(one, pa.Array):
        yield from _of_array(one)
    elif isinstance(one, bytes | bytearray | memoryview):
        yield bytes(one)
    elif isinstance(one, str):
        yield one.encode("utf-8", "surrogatepass")
    elif type(one).__module__.startswith("torch") and hasattr(one, "detach") and not isinstance(one, type):
        # in single precision, in which labels are searched for as well
        yield one.detach().cpu().float().contiguous().numpy().tobytes()


def _of_array(array: pa.Array) -> Iterator[bytes]:
    """The values of an Arrow array without those before and after its slice."""
    if pa.types.is_boolean(array.type):
        yield np.asarray(array.fill_null(False)).astype(np.int8).tobytes()
    elif pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        width = "i8" if pa.types.is_large_string(array.type) else "i4"
        if len(array):
            offsets = np.frombuffer(array.buffers()[1], width)[array.offset : array.offset + len(array) + 1]
            data = array.buffers()[2]
            yield b"" if data is None else memoryview(data)[int(offsets[0]) : int(offsets[-1])].tobytes()
    elif pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        yield from _of_array(array.flatten())
    elif pa.types.is_primitive(array.type) and len(array):
        width_bytes = array.type.bit_width // 8
        data = memoryview(array.buffers()[1]).cast("B")
        yield data[array.offset * width_bytes : (array.offset + len(array)) * width_bytes].tobytes()


def _files(given: bytes | Path) -> Iterator[bytes]:
    """The bytes themselves, or those of a file, or of every file in a folder."""
    if isinstance(given, bytes):
        yield given
    elif given.is_dir():
        yield from (path.read_bytes() for path in sorted(given.rglob("*")) if path.is_file())
    else:
        yield given.read_bytes()


def _holds(contents: Any, searched: list[bytes], figures: dict[str, Figure]) -> bool:
    for content in contents:
        figures["bytes"] = int(figures["bytes"]) + len(content)
        if any(pattern in content for pattern in searched):
            return True
    return False
