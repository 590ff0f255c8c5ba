"""One run's outcome as one JSON line: immutable, complete enough to rank by, and a failure is a result too."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, NamedTuple

from relbench_harness.errors import InputError
from relbench_harness.protocol.metrics import PRIMARY, Scores
from relbench_harness.protocol.result_versions import SCHEMA, upgraded

if TYPE_CHECKING:
    import pyarrow as pa

FAILURES = ("bad_input", "invalid_predictions", "out_of_memory", "timeout", "killed", "error")
"""Kinds of failure: what `status` says when it is not `ok`. `killed`: a signal from elsewhere, or too many processes or too much
written to disk."""


@dataclass(frozen=True)
class Result:
    """What a run did and what came of it.

    Attributes:
        task: `dataset/task`.
        method: The name of the method's config.
        config: The method's complete configuration: every hyperparameter of every part, with `_target_`. Results of schema 1
            hold only the keys that their config named.
        regime: `frozen` or `rolling`; never mixed in one ranking.
        fitted_on: The labels the model for the test split learned from: `train` or `train+val`.
        status: `ok` or the kind of failure.
        scores: Split (`val`, `test`) → metric → value; empty where the run failed before.
        metric: What the task is ranked by, and whether more is better.
        seconds: Wall seconds by phase and `total`; artefacts from a cache are charged what they cost to build.
        seconds_warm: The same as this run measured it, cached artefacts for free.
        cpu_seconds: Processor seconds by phase, those of the processes that the method starts included.
        energy_joules: What the GPU drew from the beginning to the end, idle draw and other programs' share included; None where
            the driver does not tell.
        shared: Whether others used the machine meanwhile (`is_shared`), and by what that is judged (`protocol.sharing`). Empty in
            results of versions that did not know it.
        lines: Logical lines of code: `task` (written again for each task), `method`, `harness`.
        machine, versions, commit: What it ran on and with; hardware is part of a result.
        started: When, UTC, ISO 8601.
        traceback: Where a method failed, and the last that it printed; `error` is the one sentence.
        isolation: `none`, `process` or `sealed`: where the method ran.
        limits: What was in force, each limit with its value and the means that kept it.
        notes: What the method says of how it answers: `fallback`, the trivial method that answered in its place.
        learning_curves: Of each network that was trained its epochs: `seconds` since the run began, `epoch` from 1, and the
            `validation` score, more being better; a list a network (`protocol.epochs`). Empty where no network was validated.
        predictions: File name of the predictions beside this result, if any.
        identity: What makes this run the run that it is (`sweep.identity`): equal for every repetition of it. Empty in results
            of versions that did not know it, and of other tools.
    """

    task: str
    task_type: str
    method: str
    config: Mapping[str, Any]
    seed: int
    regime: str
    fitted_on: str
    status: str
    metric: str
    higher_is_better: bool
    scores: Mapping[str, Scores] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    seconds_warm: Mapping[str, float] = field(default_factory=dict)
    cpu_seconds: Mapping[str, float] = field(default_factory=dict)
    peak_memory_mb: float = 0.0
    peak_device_memory_mb: float = 0.0
    energy_joules: float | None = None
    shared: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[str, Any] = field(default_factory=dict)
    budget: Mapping[str, Any] = field(default_factory=dict)
    dataset_fingerprint: str = ""
    machine: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""
    started: str = ""
    error: str | None = None
    traceback: str | None = None
    isolation: str = "none"
    limits: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    learning_curves: Mapping[str, Any] = field(default_factory=dict)
    predictions: str | None = None
    identity: str = ""
    schema: int = SCHEMA

    @property
    def ok(self) -> bool:
        """Whether the run came to its end with valid predictions."""
        return self.status == "ok"

    @property
    def score(self) -> float:
        """The primary metric on the test split; NaN for a failure."""
        return float(self.scores.get("test", {}).get(self.metric, math.nan))

    def to_json(self) -> str:
        """The result as one line of strict JSON; undefined numbers are null."""
        return json.dumps(_plain(asdict(self)), sort_keys=True, allow_nan=False, default=str)

    @classmethod
    def from_json(cls, line: str, where: str = "result") -> Result:
        """The result that `line` holds; `where` names its file in errors. Undefined numbers are NaN.

        A result of an older schema is given in the names of this one.

        Raises:
            InputError: The line is no whole result that this version reads.
        """
        try:
            loaded = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where} is no JSON line: {error}") from None
        if not isinstance(loaded, dict) or "task" not in loaded or "status" not in loaded:
            raise InputError(f"{where} is no result of this harness: it lacks 'task' or 'status'")
        schema = loaded.get("schema", 0)
        if isinstance(schema, int) and schema > SCHEMA:
            raise InputError(f"{where} has schema {schema}, newer than the {SCHEMA} this version reads")
        loaded = upgraded(loaded)
        known = {}
        for entry in fields(cls):
            if entry.name in loaded:
                known[entry.name] = _read(loaded[entry.name], str(entry.type), f"{where}: {entry.name}")
        try:
            result = cls(**known)
        except TypeError as error:
            raise InputError(f"{where} is no complete result: {error}") from None
        for metric in PRIMARY.values():
            if metric.name == result.metric and metric.higher_is_better != result.higher_is_better:
                # ranked beside the others it would turn the order of its task round
                better = "higher" if metric.higher_is_better else "lower"
                raise InputError(f"{where} has higher_is_better wrong: of {metric.name} {better} is better")
        return result


class Outcome(NamedTuple):
    """A result and the predictions behind it: columns split, entity, time, prediction; None where the run failed."""

    result: Result
    predictions: pa.Table | None


KINDS: Mapping[str, type | tuple[type, ...]] = {
    "str": str,
    "str | None": (str, type(None)),
    "bool": bool,
    "int": int,
}


def _read(value: Any, declared: str, what: str) -> Any:
    """`value` as a field of the type `declared`; numbers that were undefined are null in a file."""
    if declared == "float | None" and value is None:
        return None
    if declared.startswith("float"):
        if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            with suppress(OverflowError):
                return math.nan if value is None else float(value)
    elif declared.startswith("Mapping[str, "):
        inner = declared.removeprefix("Mapping[str, ").removesuffix("]")
        inner = {"Scores": "Mapping[str, float]"}.get(inner, inner)
        if isinstance(value, dict):
            if inner == "Any" or (inner == "float" and all(type(part) is float for part in value.values())):
                return value
            return {key: _read(part, inner, f"{what}.{key}") for key, part in value.items()}
    elif isinstance(value, KINDS[declared]) and (declared == "bool" or not isinstance(value, bool)):
        return value
    raise InputError(f"{what} is {json.dumps(value, default=str)[:40]}, not a {declared}")


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
