"""Whether a line's identity is the one that the harness computes for its run, as far as code and data here can tell.

Invariant: nothing that a line names is imported to be run or made: the files of its method are read, not executed. An identity
is called wrong only where everything it is made of is as it was; where code has changed since, that is said instead. JSON has no
infinity, so a line holds null in its place: an identity is right, too, if it is that of a configuration with infinities there.
"""

from __future__ import annotations

import itertools
import math
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import relbench_harness
from relbench_harness.board.lines import LEXERS
from relbench_harness.errors import InputError
from relbench_harness.home import home
from relbench_harness.protocol import metrics
from relbench_harness.protocol.budget import Budget
from relbench_harness.protocol.result import Result
from relbench_harness.sweep import identity
from relbench_harness.sweep.identity import Described, Identities

ROOT = Path(relbench_harness.__file__).resolve().parent.parent
MOST_NULLS = 8
"""In a configuration with more nulls than this all of them are infinities, or none is."""
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Verdict:
    """What became of the check.

    Attributes:
        equal: Whether it was computed and is the same; None where nothing can be said.
        reason: Why not, in words that follow a file's name.
    """

    equal: bool | None
    reason: str = ""


@dataclass(frozen=True)
class IdentityCheck:
    """Identities of many lines; each dataset and method is looked up once."""

    _known: Identities = field(default_factory=Identities)
    _unchanged: dict[tuple[str, frozenset[Path]], bool | None] = field(default_factory=dict)

    def of(self, result: Result, manifests: Iterable[Path]) -> Verdict:
        """The verdict on `result`, whose dataset and task are known here.

        Args:
            manifests: Files that describe its dataset and task.
        """
        if not result.identity:
            return Verdict(None, "has no identity: it is of a version without identities, or of another tool")
        if set(result.config) == {"members"}:
            return Verdict(None, "is a mixture of stored runs, whose identity is made of theirs and not computed again")
        try:
            run = self._described(result)
            computed = self._known.of(run)
        except InputError as error:
            return Verdict(None, f"has an identity that cannot be computed here: {error}")
        if any(self._known.of(replace(run, config=one)) == result.identity for one in readings(result.config)):
            return Verdict(True)
        parts = {*self._known.files(run), *manifests, Path(metrics.__file__), Path(identity.__file__)}
        if self._is_unchanged(result.commit, frozenset(parts)):
            return Verdict(False, f"has identity {result.identity}, but its run has identity {computed}")
        return Verdict(
            None, "has an identity that cannot be computed here: code has changed since, or its commit is unknown"
        )

    def _described(self, result: Result) -> Described:
        try:
            budget = Budget(**result.budget)
        except TypeError as error:
            raise InputError(f"its budget is none of this version: {error}") from None
        written = tuple(written_files(result))
        return Described(
            result.task, result.method, result.config, result.regime, result.fitted_on, budget, lambda _: written
        )

    def _is_unchanged(self, commit: str, files: frozenset[Path]) -> bool | None:
        if (commit, files) not in self._unchanged:
            self._unchanged[commit, files] = unchanged_since(commit, files)
        return self._unchanged[commit, files]


def readings(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What a configuration that was read from JSON may have been: each null as it is, or infinity in its place."""
    yield config
    nulls = _nulls(config)
    choices = itertools.product((math.inf, None), repeat=nulls) if nulls <= MOST_NULLS else [(math.inf,) * nulls]
    yield from (_filled(config, iter(one)) for one in choices if any(one))


def _nulls(value: Any) -> int:
    if isinstance(value, Mapping | list):
        return sum(map(_nulls, value.values() if isinstance(value, Mapping) else value))
    return int(value is None)


def _filled(value: Any, given: Iterator[float | None]) -> Any:
    """`value` with the next of `given` in the place of each null."""
    if isinstance(value, Mapping):
        return {key: _filled(inner, given) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, given) for inner in value]
    return next(given) if value is None else value


def written_files(result: Result) -> list[Path]:
    """The files that the line says were written for its task alone; overrides stand beside them.

    Raises:
        InputError: One of them is not here.
    """
    named = result.lines.get("files", {}).get("task", ()) if isinstance(result.lines.get("files", {}), dict) else ()
    found = []
    for name in named if isinstance(named, list) else ():
        if not isinstance(name, str) or Path(name).suffix not in LEXERS or "=" in name:
            continue
        path = (home("baselines").parent / name).resolve()
        if not path.is_relative_to(ROOT) or not path.is_file():
            raise InputError(f"{name!r}, which was written for its task, is not part of the harness")
        found.append(path)
    return found


def unchanged_since(commit: str, files: Iterable[Path]) -> bool | None:
    """Whether git knows `commit` and holds the content that `files` have now there; None where that cannot be said."""
    inside = [str(path) for path in files if path.resolve().is_relative_to(ROOT)]
    if not COMMIT.fullmatch(commit) or not inside:
        return None
    command = ["git", "-C", str(ROOT), "diff", "--quiet", "--no-ext-diff", commit, "--", *inside]
    try:
        code = subprocess.run(command, capture_output=True, timeout=30, check=False).returncode
    except (OSError, subprocess.SubprocessError):
        return None
    return code == 0 if code in (0, 1) else None
