"""One run as the shell or a notebook requests it, and how it is carried out and stored.

What a run needs is loaded when it begins, so that a request that cannot be is refused at once.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from relbench_harness.errors import InputError, ResultWarning, nearest
from relbench_harness.protocol.method import REGIMES, Budget

if TYPE_CHECKING:
    from relbench_harness.protocol.method import Method
    from relbench_harness.protocol.result import Outcome

Choice = TypeVar("Choice", bound=str)


@dataclass(frozen=True)
class RunRequest:
    """What one run is.

    Attributes:
        task: The address `dataset/task`.
        method: The method itself.
        name: What it is called on the board.
        config: Its complete configuration, as it will stand in the result.
        regime: `frozen` or `rolling`.
        fit_on: Labels that the model for the test split learns from: `train` or `train+val`.
        budget: What the run may use, its seed as well.
        results_dir: Where result and predictions are stored, if anywhere.
        overrides: Hyperparameters that were set for this task alone, `key=value`: they count as lines written for it.
    """

    task: str
    method: Method
    name: str
    config: Mapping[str, Any]
    regime: str = "frozen"
    fit_on: str = "train"
    budget: Budget = field(default_factory=Budget)
    results_dir: str | Path | None = None
    overrides: tuple[str, ...] = ()

    def execute(self) -> Outcome:
        """Runs the method and stores what came of it.

        Raises:
            InputError: The request cannot be fulfilled. What fails inside the method is a result.
        """
        from relbench_harness.board import lines, store
        from relbench_harness.data.dataset import open_task
        from relbench_harness.overrides import GUARD
        from relbench_harness.plausibility import implausible
        from relbench_harness.protocol.run import FIT_ON, Run
        from relbench_harness.protocol.stages import Stages

        self.budget.check()
        folder = self._folder()
        dataset, task = open_task(self.task)
        stages = Stages(dataset, task, choice(self.regime, REGIMES, "regime"))
        method = {key: value for key, value in self.config.items() if key != GUARD}
        counted = lines.count(method, written_for(self.method, task.id), self.overrides)
        fit_on = choice(self.fit_on, FIT_ON, "fit_on")
        run = Run(stages, self.method, self.name, self.budget, self.config, fit_on, counted)
        if folder is not None:
            store.ready(folder)
        outcome = run.execute()
        if folder is not None:
            outcome = store.write(outcome, folder)
        doubt = implausible(stages, outcome.result)
        if doubt is not None:
            warnings.warn(doubt, ResultWarning, stacklevel=2)
        return outcome

    def _folder(self) -> Path | None:
        if self.results_dir is None:
            return None
        if not str(self.results_dir).strip():
            raise InputError("results_dir is empty; name a folder, such as results/mine")
        return Path(self.results_dir)


def written_for(part: Any, task: str) -> Iterator[Path]:
    """The files that somebody wrote for `task` alone, such as its feature query: what parts of a method name as such."""
    if hasattr(part, "written_for"):
        yield part.written_for(task)
    elif isinstance(part, list | tuple):
        for inner in part:
            yield from written_for(inner, task)
    elif is_dataclass(part) and not isinstance(part, type):
        for entry in fields(part):
            yield from written_for(getattr(part, entry.name), task)


def choice(given: str, choices: tuple[Choice, ...], what: str) -> Choice:
    """`given` if it is one of `choices`; else an `InputError` that names the nearest."""
    for choice in choices:
        if choice == given:
            return choice
    raise InputError(f"no {what} {given!r}; {nearest(given, map(str, choices))}")
