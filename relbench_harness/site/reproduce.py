"""The command that makes the runs of a row again.

Invariant: composed by this version, a command gives the task, method, regime, seeds, budget and configuration of the results;
what it cannot say is said beside it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from relbench_harness.data.manifest_file import read_manifest
from relbench_harness.errors import InputError
from relbench_harness.home import home
from relbench_harness.presets import AROUND
from relbench_harness.protocol.budget import Budget
from relbench_harness.protocol.configuration import HYDRA
from relbench_harness.protocol.result import Result

MOST_SEEDS = 20
BARE = re.compile(r"[A-Za-z_][\w./-]*", re.ASCII)
WORDS = {"null", "true", "false", "inf", "nan"}


@dataclass(frozen=True)
class Command:
    """A command line, and sentences on what it does not say."""

    line: str
    notes: tuple[str, ...] = ()


def command(results: Sequence[Result]) -> Command:
    """The command that makes `results` again, which are the runs of one row."""
    first, seeds = results[0], sorted({result.seed for result in results})
    notes: list[str] = []
    given = [f"task={first.task}", f"method={first.method}"]
    given += [f"seed={','.join(map(str, seeds[:MOST_SEEDS]))}", f"regime={first.regime}"]
    given += [f"fit_on={first.fitted_on}"] if first.fitted_on != "train" else []
    given += [f"isolation={first.isolation}"] if first.isolation != "none" else []
    given += _of_budget(first.budget)
    today = _today(first.method)
    if isinstance(today, str):
        notes.append(f"The configuration is not compared with that of this version: {today}.")
    else:
        changed, lost = _changed(today, first.config)
        given += changed
        notes += [f"This version has no setting {', '.join(lost)}."] if lost else []
    if len(seeds) > MOST_SEEDS:
        notes.append(f"{len(seeds) - MOST_SEEDS} more seeds are not named, the last of them {seeds[-1]}.")
    if first.commit:
        notes.append(f"Made at commit {first.commit[:12]}.")
    words = ["relbench-harness", "run", *(["-m"] if len(seeds) > 1 else []), *given]
    return Command(" ".join(shlex.quote(word) for word in words), tuple(notes))


def _of_budget(budget: Mapping[str, Any]) -> Iterator[str]:
    for field in fields(Budget):
        value = budget.get(field.name, field.default)
        if field.name != "seed" and value != field.default:
            yield f"budget.{field.name}={literal(value)}"


@cache
def _today(method: str) -> Mapping[str, Any] | str:
    """The configuration that this version gives a method by its name, or why there is none."""
    from relbench_harness.compose import make_guarded

    try:
        return make_guarded(method)[1]
    except InputError as error:
        return str(error)


def _changed(today: Mapping[str, Any], then: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Settings in which `then` differs from `today`, and the keys of those that there are no longer."""
    given, lost = [], []
    given += [f"{group}={nothing}" for group, nothing in AROUND.items() if group in today and group not in then]
    for key, value in then.items():
        if key in AROUND and isinstance(value, Mapping):
            known = today.get(key)
            if not isinstance(known, Mapping):
                name, known = _nearest_choice(key, value)
                given.append(f"{key}={name}")
            given += [f"{key}.{k}={literal(v)}" for k, v in value.items() if k not in HYDRA and known.get(k) != v]
        elif key in HYDRA:
            continue
        elif key not in today:
            lost.append(key)
        elif today[key] != value:
            given.append(f"method.{key}={literal(value)}")
    return given, lost


def _nearest_choice(group: str, then: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The config of `group` that makes an object of the same class with the most equal fields, and its fields."""
    found = {path.stem: read_manifest(path, "config") for path in sorted(home("configs").glob(f"{group}/*.yaml"))}
    return max(found.items(), key=lambda one: (one[1].get("_target_") == then.get("_target_"), _equal(one[1], then)))


def _equal(one: Mapping[str, Any], other: Mapping[str, Any]) -> int:
    return sum(other.get(key) == value for key, value in one.items())


def literal(value: Any) -> str:
    """`value` in Hydra's grammar."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{literal(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(literal, value)) + "]"
    text = str(value)
    if BARE.fullmatch(text) and text.lower() not in WORDS:
        return text
    # in quotes a backslash is itself, but before a quote
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + found[2].replace("'", "\\'"), text)
    return f"'{escaped}'"
