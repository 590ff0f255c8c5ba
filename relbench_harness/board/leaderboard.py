"""The leaderboard is a function: results in, tables out. No files, no network, no clock.

Invariants: regimes, versions of a dataset, metrics, hyperparameters and budgets are never mixed in one row, and only rows of
one task, regime, version of the data and metric are ranked together. A result that does not say which data it was made on
is ranked apart, as `UNKNOWN`. A run that failed counts against its method: an incomplete row ranks behind every complete
one, and coverage stands beside every rank.
"""

from __future__ import annotations

import json
import marshal
import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from relbench_harness.board.anchor import Anchor, anchor_of
from relbench_harness.board.audits import Audits, audited, audits_of
from relbench_harness.protocol.audit.report import AuditReport
from relbench_harness.protocol.result import Result

COLUMNS = (
    "task",
    "regime",
    "data",
    "metric",
    "higher_is_better",
    "rank",
    "method",
    "test",
    "test_sd",
    "val",
    "val_sd",
    "scored",
    "runs",
    "coverage",
    "status",
    "seconds",
    "seconds_warm",
    "seconds_vs_anchor",
    "anchor",
    "shared",
    "peak_memory_mb",
    "lines_task",
    "lines_method",
    "lines_harness",
    "fitted_on",
    "audited",
    "machine",
    "error",
    "fallback",
)
GROUP = ["task", "regime", "data", "metric"]
"""What is ranked together: one task, one regime, one version of the data, one metric."""
UNKNOWN = "unknown data"
"""The version of the data of results without a fingerprint, such as those of other tools."""
Group = tuple[str, str, str, str]
Settings = tuple[tuple[str, str], ...]


def group_of(key: Sequence[object]) -> Group:
    """A key of `groupby(GROUP)` with its types."""
    task, regime, data, metric = map(str, key)
    return task, regime, data, metric


class Entry(NamedTuple):
    """A result with what identifies its row: its ranking and its settings, as pairs of a path of keys and a value."""

    result: Result
    group: Group
    settings: Settings

    @property
    def scored(self) -> bool:
        return self.result.ok and math.isfinite(self.result.score)


def leaderboard(results: Iterable[Result], reports: Iterable[AuditReport] = (), anchor: str | None = None) -> pd.DataFrame:
    """One row per task, regime, version of the data, metric, method and distinct settings, ranked within each `GROUP`.

    Scores and costs are means over the seeds that scored (`*_sd` their standard deviation, ddof 1). Where a run was
    made twice with the same seed and settings, the one that started last counts. `seconds` are cold: what cached
    artefacts cost to build is in them; `seconds_warm` are as measured. `shared` says whether others used the machine
    meanwhile: `yes` (in one run at least), `no` or `unknown`.

    Args:
        reports: Audits, which say of each row whether it is `audited`: `yes`, `no` or `failed`.
        anchor: A method in multiples of whose seconds on the same machine those of all are given too, as `seconds_vs_anchor`.

    Raises:
        InputError: There is no such anchor.
    """
    audits, rows = audits_of(reports), rows_of(results)
    scored = ((row.group, row.method, [e.result for e in row.members if e.scored]) for row in rows)
    base = Anchor() if anchor is None else anchor_of(anchor, scored)
    frame = pd.DataFrame([_line(row, audits, base) for row in rows], columns=list(COLUMNS))
    for _, group in frame.groupby(GROUP, sort=False):
        frame.loc[group.index, "rank"] = _ranks(group)
    frame["rank"] = frame["rank"].astype("int64")
    return frame.sort_values([*GROUP, "rank", "method"], ignore_index=True)


# -- which results make a row ---------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """What one line of the board is made of: its name is `method`, its results are the latest of each seed."""

    group: Group
    method: str
    members: list[Entry]


def rows_of(results: Iterable[Result]) -> list[Row]:
    """The rows of a leaderboard, in no order that means anything."""
    entries = _latest(_entries(list(results)))
    rows: dict[tuple[Group, str, Settings], list[Entry]] = {}
    for entry in entries:
        rows.setdefault((entry.group, entry.result.method, entry.settings), []).append(entry)
    labels = _labels(rows)
    return [Row(group, labels[method, settings], members) for (group, method, settings), members in rows.items()]


def _entries(results: Sequence[Result]) -> list[Entry]:
    newest: dict[str, tuple[str, str]] = {}
    for result in results:
        if result.dataset_fingerprint:
            newest[result.task] = max(newest.get(result.task, ("", "")), (result.started, result.dataset_fingerprint))
    known: dict[bytes | str, Settings] = {}
    entries = []
    for result in results:
        data = _data(result, newest.get(result.task, ("", ""))[1])
        budget = dict(result.budget)
        budget.pop("seed", None)
        parts = (result.config, budget, result.fitted_on)
        written = _written(parts)
        if written not in known:
            known[written] = _settings(*parts)
        entries.append(Entry(result, (result.task, result.regime, data, result.metric), known[written]))
    return entries


def _data(result: Result, newest: str) -> str:
    """Which version of its data a result counts for."""
    # a run of this harness that failed before its data was there belongs to the newest version
    lost = not result.ok and "_target_" in result.config
    return (result.dataset_fingerprint or (newest if lost else ""))[:8] or UNKNOWN


def _written(parts: tuple[Any, ...]) -> bytes | str:
    """Text that is equal for equal settings in equal order, made as quickly as can be."""
    try:
        return marshal.dumps(parts, 2)
    except ValueError:
        return repr(parts)


def _settings(config: Mapping[str, Any], budget: Mapping[str, Any], fitted_on: str) -> Settings:
    """Everything but the seed that makes two runs of a method different runs."""
    return tuple(sorted(_flat({**config, "budget": budget, "fit_on": fitted_on})))


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def _latest(entries: Sequence[Entry]) -> list[Entry]:
    # a hash of settings is made once, not for each result
    numbers: dict[int, int] = {}
    first: dict[Settings, int] = {}
    for entry in entries:
        if id(entry.settings) not in numbers:
            numbers[id(entry.settings)] = first.setdefault(entry.settings, len(first))
    chosen: dict[tuple[Group, str, int, int], Entry] = {}
    for entry in sorted(entries, key=lambda e: (e.result.started, e.result.seed)):
        chosen[entry.group, entry.result.method, numbers[id(entry.settings)], entry.result.seed] = entry
    return list(chosen.values())


def _labels(rows: Iterable[tuple[Group, str, Settings]]) -> dict[tuple[str, Settings], str]:
    """(method, settings) → name on the board: the method's, with those settings in which it has several on one task.

    Settings that only differ from task to task, such as a file of SQL for each, make no second method.
    """
    variants: dict[tuple[Group, str], list[Settings]] = {}
    for group, method, settings in rows:
        variants.setdefault((group, method), []).append(settings)
    differing: dict[str, set[str]] = {}
    for (_, method), several in variants.items():
        found = differing.setdefault(method, set())
        if len(several) > 1:
            together = [dict(settings) for settings in several]
            keys = {key for one in together for key in one}
            found.update(key for key in keys if len({one.get(key) for one in together}) > 1)
    return {
        (method, settings): _label(method, {k: v for k, v in settings if k in differing[method]})
        for (_, method), several in variants.items()
        for settings in several
    }


def _label(method: str, settings: Mapping[str, str]) -> str:
    return f"{method} ({', '.join(f'{k}={v}' for k, v in settings.items())})" if settings else method


# -- one row --------------------------------------------------------------------------------------------------------------


def _line(row: Row, audits: Audits, anchor: Anchor) -> dict[str, Any]:
    members = row.members
    good = [e.result for e in members if e.scored]
    costed = good or [e.result for e in members]
    last = members[-1]
    test = [r.score for r in good]
    val = [r.scores.get("val", {}).get(r.metric, math.nan) for r in good]
    return {
        **dict(zip(GROUP, last.group, strict=True)),
        "higher_is_better": last.result.higher_is_better,
        "rank": 0,
        "method": row.method,
        "test": _mean(test),
        "test_sd": _sd(test),
        "val": _mean(val),
        "val_sd": _sd(val),
        "scored": len(good),
        "runs": len(members),
        "coverage": len(good) / len(members),
        "status": _status([e.result for e in members if not e.scored], len(members)),
        "seconds": _mean(r.seconds.get("total", math.nan) for r in costed),
        "seconds_warm": _mean(r.seconds_warm.get("total", math.nan) for r in costed),
        "seconds_vs_anchor": anchor.ratio(last.group, costed) if anchor.name else math.nan,
        "anchor": anchor.name,
        "shared": _shared(costed),
        "peak_memory_mb": _mean(r.peak_memory_mb for r in costed),
        **{f"lines_{part}": _number(last.result.lines.get(part)) for part in ("task", "method", "harness")},
        "fitted_on": last.result.fitted_on,
        "audited": audited((e.result for e in members), audits),
        "machine": _machines(costed),
        "error": next((e.result.error for e in members if e.result.error), None),
        "fallback": _fallback(good),
    }


def _status(failed: Sequence[Result], runs: int) -> str:
    """`ok`, or how many runs failed and how."""
    if not failed:
        return "ok"
    kinds = sorted({r.status if not r.ok else f"{r.metric} undefined" for r in failed})
    return ", ".join(kinds) if len(failed) == runs else f"{len(failed)} of {runs}: {', '.join(kinds)}"


def _shared(results: Sequence[Result]) -> str:
    """Whether others used the machine while the runs were measured."""
    found = [result.shared.get("is_shared") for result in results]
    if any(one is True for one in found):
        return "yes"
    return "no" if all(one is False for one in found) else "unknown"


def _fallback(results: Sequence[Result]) -> str | None:
    """Which trivial methods answered in the method's place, and in how many runs."""
    names = [str(r.notes["fallback"]) for r in results if "fallback" in r.notes]
    if not names:
        return None
    return f"{' or '.join(sorted(set(names)))} in {len(names)} of {len(results)} runs"


def _machines(results: Sequence[Result]) -> str:
    names = {" ".join(str(r.machine[k]) for k in ("cpu", "gpu") if r.machine.get(k)) for r in results} - {""}
    return f"{len(names)} machines" if len(names) > 1 else next(iter(names), "")


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers) if numbers else math.nan


def _sd(values: Sequence[float]) -> float:
    if len(values) < 2:
        return math.nan
    mean = _mean(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _ranks(group: pd.DataFrame) -> list[int]:
    """Complete rows by score, then incomplete ones by coverage and score; equals share the better rank."""
    signed = group["test"].where(~group["higher_is_better"].astype(bool), -group["test"])
    scores = signed.where(group["scored"] > 0, math.inf).astype("float64")
    keys = list(zip(-group["coverage"].astype("float64"), scores, strict=True))
    ordered = sorted(keys)
    return [1 + bisect_left(ordered, key) for key in keys]
