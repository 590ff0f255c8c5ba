"""Importance of tables and columns beside the results that it is about: small files, one for each task and method.

Layout: `<folder>/explain/<dataset>__<task>/<method>.json`; the last explanation stands. Invariant: a file holds names and numbers alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from relbench_harness.board.store import Report, folder_name, read_each
from relbench_harness.data.writing import write_whole
from relbench_harness.errors import InputError

FOLDER = "explain"
SCHEMA = 1


@dataclass(frozen=True)
class Weighed:
    """A part of the data and how much it counts.

    Attributes:
        kind: `column` or `table`.
        part: Its name.
        share: Of the importance of all parts of its kind, by one way.
        value, low, high: The amount with its interval, NaN where it has none.
    """

    kind: str
    part: str
    share: float
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Agreement:
    """Rank correlation of two ways over parts of one kind."""

    kind: str
    ways: tuple[str, str]
    correlation: float
    parts: int


@dataclass(frozen=True)
class Importance:
    """What a method looks at on a task.

    Attributes:
        unit: What amounts of each way are in.
        parts: Way → the parts that count most.
        as_sql: How many columns reproduce the answers, and R² with its interval, where that was looked for.
    """

    task: str
    method: str
    regime: str
    examples: int
    unit: Mapping[str, str]
    parts: Mapping[str, Sequence[Weighed]]
    agreements: Sequence[Agreement]
    as_sql: tuple[int, float, float, float] | None = None

    def to_json(self) -> str:
        return json.dumps(
            {"schema": SCHEMA, **_without_nan(asdict(self))}, sort_keys=True, ensure_ascii=False, allow_nan=False
        )

    @classmethod
    def from_json(cls, text: str, what: str) -> Importance:
        """Raises `InputError`, which names `what`, where the text holds none."""
        try:
            read: Any = json.loads(text)
            if read["schema"] != SCHEMA:
                raise InputError(
                    f"{what} has schema {read['schema']}, this version reads {SCHEMA}; explain the method again"
                )
            return cls(
                task=str(read["task"]),
                method=str(read["method"]),
                regime=str(read["regime"]),
                examples=int(read["examples"]),
                unit={str(way): str(unit) for way, unit in read["unit"].items()},
                parts={str(way): tuple(_weighed(one) for one in some) for way, some in read["parts"].items()},
                agreements=tuple(
                    Agreement(
                        str(a["kind"]), (str(a["ways"][0]), str(a["ways"][1])), _number(a["correlation"]), int(a["parts"])
                    )
                    for a in read["agreements"]
                ),
                as_sql=None if read["as_sql"] is None else (int(read["as_sql"][0]), *_three(read["as_sql"][1:])),
            )
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            raise InputError(f"{what} is no explanation of a method; explain writes such files with --store") from None


def _weighed(one: Mapping[str, Any]) -> Weighed:
    numbers = (_number(one[key]) for key in ("share", "value", "low", "high"))
    return Weighed(str(one["kind"]), str(one["part"]), *numbers)


def _number(value: object) -> float:
    return math.nan if value is None else float(value)  # type: ignore[arg-type]


def _three(values: Sequence[object]) -> tuple[float, float, float]:
    first, second, third = map(_number, values)
    return first, second, third


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_importance(found: Importance, folder: Path) -> Path:
    """Writes it below `folder`, in place of an earlier one."""
    path = folder / FOLDER / folder_name(found.task.replace("/", "__")) / f"{folder_name(found.method)}.json"
    write_whole(path, found.to_json() + "\n")
    return path


def read_importances(folder: Path, broken: Report) -> list[Importance]:
    """Everything of the kind below `folder`; what cannot be read goes to `broken`."""
    paths = sorted(folder.rglob(f"{FOLDER}/*/*.json")) if folder.is_dir() else []
    return read_each(paths, Importance.from_json, broken)
