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

from relbench_harness.errors import InputError
from relbench_harness.overrides import GUARD
from relbench_harness.protocol.budget import Budget
from relbench_harness.protocol.configuration import HYDRA
from relbench_harness.protocol.result import Result

MOST_SEEDS = 20
BARE = re.compile(r"[A-Za-z_][\w./-]*")
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
    if GUARD in today and GUARD not in then:
        given.append("guard=none")
    for key, value in then.items():
        if key == GUARD and isinstance(value, Mapping) and isinstance(today.get(GUARD), Mapping):
            given += [f"guard.{k}={literal(v)}" for k, v in value.items() if k not in HYDRA and today[GUARD].get(k) != v]
        elif key in HYDRA:
            continue
        elif key not in today:
            lost.append(key)
        elif today[key] != value:
            given.append(f"method.{key}={literal(value)}")
    return given, lost


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
