"""What workers on any machine say, as files of the results folder, which all of them share.

Each start of a worker has a file of its own and appends lines to it; the process that began the workers reads what is new. It
ends them by one more file, which each worker looks for. Invariant: a line is taken in once, and only when it is whole. Nothing
that counts is here alone: results and marks lie in the results folder, so a report that is lost costs a line on the screen.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from relbench_harness.protocol.result import Result
from relbench_harness.sweep.claims import Owner, this_process
from relbench_harness.sweep.ledger import ENDED, FAULT, SAID, THERE
from relbench_harness.sweep.plan import Planned

BEGUN = "begun"
"""The kind of the first report of a worker: which process it is."""
STOP = "stop"
"""The file that ends workers."""
ENDING = ".reports"


@dataclass
class Writer:
    """Writes what becomes of a worker's runs.

    Attributes:
        folder: Where reports lie.
        numbers: `id` of a run → its number in the work.
    """

    folder: Path
    numbers: Mapping[int, int]
    name: str = field(default_factory=lambda: secrets.token_hex(8))

    def begun(self) -> None:
        self._write(BEGUN, -1, asdict(this_process()))

    def ended(self, run: Planned, result: Result) -> None:
        self._write(ENDED, self.numbers[id(run)], result.to_json())

    def fault(self, run: Planned, sentence: str) -> None:
        self._write(FAULT, self.numbers[id(run)], sentence)

    def there(self, run: Planned) -> None:
        self._write(THERE, self.numbers[id(run)], "")

    def waits(self, runs: int) -> None:
        """The workers of a sweep wait for each other: nothing that a user needs to know."""

    def said(self, sentence: str) -> None:
        self._write(SAID, -1, sentence)

    def _write(self, kind: str, number: int, what: Any) -> None:
        # a full disk, or a folder that is gone because the sweep has ended, costs no run
        with suppress(OSError), (self.folder / f"{self.name}{ENDING}").open("a", encoding="utf-8") as file:
            file.write(json.dumps([kind, number, what]) + "\n")

    @property
    def is_stopped(self) -> bool:
        """Whether this worker is to end."""
        return (self.folder / STOP).exists() or not self.folder.is_dir()


@dataclass
class Reader:
    """Reads what workers wrote.

    Attributes:
        owners: The processes that began.
    """

    folder: Path
    owners: list[Owner] = field(default_factory=list)
    _read: dict[Path, int] = field(default_factory=dict)

    def new(self) -> Iterator[tuple[str, int, Any]]:
        """(kind, number, result or sentence) of every report that was not read before."""
        for path in sorted(self.folder.glob(f"*{ENDING}")):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                whole = file.read().rpartition(b"\n")[0]
            if not whole:
                continue
            self._read[path] = self._read.get(path, 0) + len(whole) + 1
            for line in whole.split(b"\n"):
                try:
                    kind, number, what = json.loads(line)
                except ValueError:
                    # a full disk cut it, and the next one stands behind it
                    continue
                if kind == BEGUN:
                    self.owners.append(Owner(**what))
                else:
                    yield kind, number, Result.from_json(what) if kind == ENDED else what

    def stop(self) -> None:
        """Ends the workers that look for it."""
        with suppress(OSError):
            (self.folder / STOP).touch()
