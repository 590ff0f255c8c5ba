"""What a sweep is to make: its runs in order, which of them are left, and the list of them that it leaves in the folder.

Invariant: what is left follows from the plan and the results that are there, and from nothing else: no number of a job, no
state of an earlier sweep. The file of a plan is written whole, after the folder was looked through.
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from relbench_harness.board.store import SWEEPS
from relbench_harness.data.writing import write_whole
from relbench_harness.errors import InputError, nearest
from relbench_harness.protocol.result import FAILURES, Outcome
from relbench_harness.sweep.scan import Found, Stored

Keep = Callable[[Outcome, Path], Outcome]
"""Stores an outcome in a results folder; what it returns names the predictions."""
FAILED = "failed"
"""In `retry`: every kind of failure."""
NAME = re.compile(r"[\w][\w.=+-]*")


class Request(Protocol):
    """A run as the shell or a notebook requests it; it opens its data when it is executed."""

    @property
    def isolation(self) -> str:
        """Where the method runs."""
        ...

    def execute(self, keep: Keep) -> Outcome: ...

    def together(self, jobs: int) -> Request:
        """The same run, made while `jobs` of them are made at a time."""
        ...


@dataclass(frozen=True)
class Entry:
    """What is said of a run before it is made.

    Attributes:
        budget_seconds: What its budget allows it; None without limit.
        swept: Settings that the sweep varies and that nothing else here names, `key=value`.
    """

    identity: str
    task: str
    method: str
    seed: int
    regime: str
    budget_seconds: float | None = None
    swept: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """The run as lines of the shell begin."""
        return f"{self.task}  {self.method}  {' '.join([f'seed={self.seed}', *self.swept])}  {self.regime}"


@dataclass(frozen=True)
class Planned:
    """One run of a plan.

    Attributes:
        folder: The results folder.
        resume: Whether a result that is there stands for the run.
        retry: Kinds of failure that do not.
        given: The settings it was composed of, for the log.
        save: Where its fitted method is kept; empty where it is not.
    """

    entry: Entry
    request: Request
    folder: Path
    resume: bool = True
    retry: frozenset[str] = frozenset()
    given: tuple[str, ...] = ()
    save: str = ""

    def standing(self, found: Found) -> Stored | None:
        """The result that stands for this run; None where the run is to be made."""
        results = found.get(self.entry.identity, ())
        if not results or not self.resume:
            return None
        stored = next((one for one in results if one.ok), results[-1])
        return stored if stored.ok or stored.status not in self.retry else None


@dataclass(frozen=True)
class Fault:
    """A run that cannot be: why, in one sentence."""

    sentence: str


Item = Planned | Fault


def kinds(retry: str) -> frozenset[str]:
    """The kinds of failure that the setting `retry` names: `failed` for all, or a list with commas.

    Raises:
        InputError: It names something else.
    """
    named = [name.strip() for name in retry.split(",") if name.strip()]
    for name in named:
        if name not in (FAILED, *FAILURES):
            raise InputError(f"no kind of failure {name!r} for retry; {nearest(name, (FAILED, *FAILURES))}")
    return frozenset(FAILURES if FAILED in named else named)


def without_repetitions(items: Iterable[Item]) -> list[Item]:
    """`items` with each run once."""
    seen: set[tuple[Path, str]] = set()
    kept = []
    for item in items:
        if isinstance(item, Planned):
            key = (item.folder, item.entry.identity)
            if key in seen:
                continue
            seen.add(key)
        kept.append(item)
    return kept


# -- the file -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """The runs of a sweep as its file names them."""

    name: str
    runs: tuple[Entry, ...]


def check_name(name: str) -> None:
    """Raises `InputError` for the name of a sweep that cannot be the name of a file."""
    if not NAME.fullmatch(name):
        raise InputError(f"sweep {name!r} is no name for a file; use letters, digits, '.', '=', '+', '-' and '_'")


def leave(runs: Sequence[Entry], folder: Path, name: str = "") -> None:
    """Writes the plan of `runs` into the results folder, under the UTC time where it has no name.

    A sweep without a name whose runs are those of a plan that is there leaves that one.

    Raises:
        OSError: The file cannot be written.
    """
    lying = folder / SWEEPS
    if name:
        write_whole(lying / f"{name}.json", _text(name, runs))
        return
    own = {run.identity for run in runs}
    if any({run.identity for run in plan.runs} == own for plan in plans(folder)):
        return
    base = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    for number in range(1, 1000):
        chosen = base if number == 1 else f"{base}-{number}"
        with suppress(FileExistsError):
            write_whole(lying / f"{chosen}.json", _text(chosen, runs), new=True)
            return
    raise FileExistsError(errno.EEXIST, "too many sweeps began in this second", str(lying))


def plans(folder: Path, broken: Callable[[InputError], None] | None = None) -> list[Plan]:
    """Every plan in the results folder, in the order of their names.

    Args:
        broken: Is called for each file that is no plan.
    """
    found = []
    for path in sorted((folder / SWEEPS).glob("*.json")):
        try:
            found.append(_plan(path))
        except InputError as error:
            if broken is not None:
                broken(error)
    return found


def plan_named(name: str, folder: Path) -> Plan:
    """The plan of the sweep `name`. Raises `InputError` where there is none."""
    path = folder / SWEEPS / f"{name}.json"
    if not path.is_file():
        known = [one.stem for one in (folder / SWEEPS).glob("*.json")]
        raise InputError(f"no sweep {name!r} in {folder}; {nearest(name, known)}")
    return _plan(path)


def _text(name: str, runs: Sequence[Entry]) -> str:
    head = {"sweep": name, "planned": datetime.now(UTC).isoformat(timespec="seconds")}
    lines = ",\n".join(json.dumps(asdict(run), sort_keys=True) for run in runs)
    return f'{json.dumps(head)[:-1]}, "runs": [\n{lines}\n]}}\n'


def _plan(path: Path) -> Plan:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
        return Plan(path.stem, tuple(_entry(one) for one in loaded["runs"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no plan of a sweep: {type(error).__name__}: {error}") from None


def _entry(line: dict[str, Any]) -> Entry:
    return Entry(**{**line, "swept": tuple(line["swept"])})
