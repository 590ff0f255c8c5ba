"""One run as the shell or a notebook requests it, and how it is carried out and stored.

What a run needs is loaded when it begins, so that a request that cannot be is refused at once.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from relbench_harness.errors import InputError, ResultWarning, nearest
from relbench_harness.protocol.limits import Limits
from relbench_harness.protocol.method import REGIMES, Budget
from relbench_harness.sweep.identity import Described, Identities

if TYPE_CHECKING:
    from relbench_harness.models.keep import Keeping
    from relbench_harness.protocol.method import Method
    from relbench_harness.protocol.result import Outcome
    from relbench_harness.protocol.work import Isolation
    from relbench_harness.sweep.plan import Keep

ISOLATIONS: tuple[Literal["none", "process", "sealed"], ...] = ("none", "process", "sealed")
"""Where a method may run; see `relbench_harness.protocol.sandbox`."""
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
        isolation: Where the method runs: `none`, `process` or `sealed`.
        limits: Where an isolated run is ended.
        overrides: Hyperparameters that were set for this task alone, `key=value`: they count as lines written for it.
        identity: What makes it the run that it is, where that is known already.
        jobs: How many jobs of a sweep run at a time, this one among them.
        save: The folder in which the fitted method is kept, if anywhere.
    """

    task: str
    method: Method
    name: str
    config: Mapping[str, Any]
    regime: str = "frozen"
    fit_on: str = "train"
    budget: Budget = field(default_factory=Budget)
    results_dir: str | Path | None = None
    isolation: str = "none"
    limits: Limits = field(default_factory=Limits)
    overrides: tuple[str, ...] = ()
    identity: str = ""
    jobs: int = 1
    save: str | Path | None = None

    def check(self) -> None:
        """Raises `InputError` for what is wrong with the request itself; nothing is read."""
        from relbench_harness.protocol.run import FIT_ON

        self.budget.check()
        self._folder()
        choice(self.regime, REGIMES, "regime")
        choice(self.fit_on, FIT_ON, "fit_on")
        choice(self.isolation, ISOLATIONS, "isolation")
        self.limits.check()
        if self.save is not None:
            from relbench_harness.models.bundle import check_free
            from relbench_harness.models.keep import check_can_be_kept

            check_free(Path(self.save))
            check_can_be_kept(self.method)

    def identified(self, identities: Identities) -> RunRequest:
        """The request with its identity.

        Raises:
            InputError: Its dataset, its task or its method's code cannot be read.
        """
        return replace(self, identity=identities.of(self.described()))

    def described(self) -> Described:
        """What makes the run the run that it is."""
        return Described(
            task=self.task,
            name=self.name,
            config=self.config,
            regime=self.regime,
            fit_on=self.fit_on,
            budget=self.budget,
            written_for=lambda task: written_for(self.method, task),
        )

    def together(self, jobs: int) -> RunRequest:
        """The same run, made while `jobs` of a sweep are made at a time."""
        return replace(self, jobs=jobs)

    def execute(self, keep: Keep | None = None, keeping: Keeping | None = None) -> Outcome:
        """Runs the method, stores what came of it, and keeps the fitted method where `save` says so.

        Args:
            keep: Stores it; `board.store.write` where nothing else is named.
            keeping: Takes the fitted method, for a caller that may want to keep it later.

        Raises:
            InputError: The request cannot be fulfilled. What fails inside the method is a result.
        """
        from relbench_harness.board import lines, store
        from relbench_harness.data.dataset import open_task
        from relbench_harness.plausibility import implausible
        from relbench_harness.presets import AROUND
        from relbench_harness.protocol.run import FIT_ON, Run
        from relbench_harness.protocol.stages import Stages

        self.check()
        if self.save is not None and keeping is None:
            from relbench_harness.models.keep import Keeping

            keeping = Keeping()
        folder = self._folder()
        isolation = self._isolation()
        dataset, task = open_task(self.task)
        stages = Stages(dataset, task, choice(self.regime, REGIMES, "regime"))
        method = {key: value for key, value in self.config.items() if key not in AROUND}
        counted = lines.count(method, written_for(self.method, task.id), self.overrides)
        fit_on = choice(self.fit_on, FIT_ON, "fit_on")
        run = Run(stages, self.method, self.name, self.budget, self.config, fit_on, counted, isolation, self.jobs, keeping)
        if folder is not None:
            store.ready(folder)
        outcome = run.execute()
        # what the run has opened is not read again
        identity = self.identity or self.identified(Identities.with_opened(self.task, dataset, task)).identity
        outcome = outcome._replace(result=replace(outcome.result, identity=identity))
        if folder is not None:
            outcome = (keep or store.write)(outcome, folder)
        if keeping is not None and outcome.result.ok:
            keeping.describe(stages, outcome.result)
            if self.save is not None:
                keeping.write(Path(self.save))
        doubt = implausible(stages, outcome.result)
        if doubt is not None:
            warnings.warn(doubt, ResultWarning, stacklevel=2)
        return outcome

    def _isolation(self) -> Isolation:
        """Where the method runs; what that needs begins to start."""
        from relbench_harness.protocol.work import InThisProcess

        name = choice(self.isolation, ISOLATIONS, "isolation")
        if name == "none":
            return InThisProcess()
        if sys.platform != "linux":
            raise InputError(f"isolation={name} needs Linux; use isolation=none")
        from relbench_harness.board.lines import targets_of
        from relbench_harness.protocol import kernels
        from relbench_harness.protocol.sandbox import Sandbox

        if name == "sealed":
            kernels.ready()

        results = () if self.results_dir is None else (Path(self.results_dir),)
        modules = tuple(target.rpartition(".")[0] for target in targets_of(self.config))
        sandbox = Sandbox(name, self.limits, modules, results)
        sandbox.start(self.method)
        return sandbox

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
