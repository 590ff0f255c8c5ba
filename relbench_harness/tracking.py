"""Where else a result is logged: nowhere, or at Weights & Biases. The stored result line is never changed by a tracker."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from relbench_harness.errors import InputError, nearest, sentence

if TYPE_CHECKING:
    from wandb import Run

    from relbench_harness.protocol.result import Result

PATIENCE = 30.0
"""Seconds to wait for W&B before it counts as down, unless $WANDB_INIT_TIMEOUT says otherwise."""

MODES = ("online", "offline", "disabled", "shared", "dryrun", "run")
"""What W&B takes, its old names included."""


class Tracker(Protocol):
    def epoch(self, run: str, epoch: int, validation: float) -> None:
        """A point of a learning curve, while the run is under way.

        Args:
            run: What `run_name` calls it.
        """

    def log(self, result: Result) -> None: ...


def run_name(method: str, task: str, seed: int) -> str:
    """What the work on a run is called, in progress and at trackers."""
    return f"{method} on {task}, seed {seed}"


@dataclass(frozen=True)
class NoTracker:
    """Logs nowhere."""

    def epoch(self, run: str, epoch: int, validation: float) -> None:
        return

    def log(self, result: Result) -> None:
        return


@dataclass(frozen=True)
class WeightsAndBiases:
    """One W&B run per result: hyperparameters as config, scores and seconds as summary and table, predictions as artefact.

    Runs are grouped by their board. A network's validation score comes in epoch by epoch while it learns, where the run is made
    by this process.

    Attributes:
        mode: `online`, `offline` (`wandb sync` sends it later) or `disabled`; None leaves it to W&B (`WANDB_MODE`).
        dir: Folder for W&B's own files.
        results: The folder of results, which is the board.
    """

    project: str = "relbench-harness"
    entity: str | None = None
    mode: Literal["online", "offline", "disabled"] | None = None
    dir: str = "."
    results: str = "."

    def __post_init__(self) -> None:
        # found before a run spends its time, not after
        mode = self.mode or os.environ.get("WANDB_MODE") or "online"
        if mode not in MODES:
            raise InputError(f"Weights & Biases has no mode {mode!r}; {nearest(mode, MODES)}")
        _patience()
        if mode == "online" and not _logged_in():
            raise InputError(
                "Weights & Biases is not logged in; run `wandb login`, set WANDB_API_KEY, or keep runs on disk with "
                "tracker.mode=offline"
            )

    def log(self, result: Result) -> None:
        """Logs the result at W&B. What prevents that raises `InputError`; the result is stored all the same."""
        try:
            self._log(result)
        except Exception as error:
            reason = sentence(error)
            if reason is None:
                raise
            raise InputError(
                f"the result of {result.method} on {result.task} is stored, but not logged: {reason}"
            ) from error

    def epoch(self, run: str, epoch: int, validation: float) -> None:
        self._open(run).log({"epoch": epoch, "validation": validation})

    def _open(self, name: str) -> Run:
        """The W&B run called `name`: the one under way, or a new one."""
        import wandb

        if wandb.run is not None and wandb.run.name == name:
            return wandb.run
        Path(self.dir).mkdir(parents=True, exist_ok=True)
        return wandb.init(
            project=self.project,
            entity=self.entity,
            mode=self.mode,
            dir=self.dir,
            group=Path(self.results).resolve().name,
            job_type=name.partition(" on ")[2].rpartition(", seed ")[0],
            name=name,
            reinit="finish_previous",
            settings=wandb.Settings(silent=True, console="off", init_timeout=_patience()),
        )

    def _log(self, result: Result) -> None:
        import wandb

        run = self._open(run_name(result.method, result.task, result.seed))
        run.config.update(self._config(result))  # type: ignore[no-untyped-call]
        run.tags = (*(run.tags or ()), result.method, result.regime, result.status)
        rows: list[Iterable[Any]] = [
            [split, name, value] for split, scores in result.scores.items() for name, value in scores.items()
        ]
        run.log({"scores": wandb.Table(columns=["split", "metric", "value"], data=rows)})
        self._log_predictions(run, result)
        summary: dict[str, Any] = {"status": result.status, "peak_memory_mb": result.peak_memory_mb}
        for split, scores in result.scores.items():
            summary |= {f"{split}/{name}": value for name, value in scores.items()}
        summary |= {f"seconds/{name}": value for name, value in result.seconds.items()}
        run.log(summary)
        run.finish(exit_code=0 if result.ok else 1)

    def _log_predictions(self, run: Run, result: Result) -> None:
        import wandb

        from relbench_harness.board.store import home_of

        path = home_of(result.task, result.method, Path(self.results)) / (result.predictions or "")
        if path.is_file():
            artefact = wandb.Artifact(
                re.sub(r"[^\w.-]+", "-", path.stem), type="predictions", metadata={"task": result.task}
            )
            artefact.add_file(str(path))
            run.log_artifact(artefact)

    @staticmethod
    def _config(result: Result) -> dict[str, Any]:
        named = ("task", "task_type", "method", "seed", "regime", "fitted_on", "commit", "dataset_fingerprint", "identity")
        return {**{name: getattr(result, name) for name in named}, "hyperparameters": dict(result.config)}


def _patience() -> float:
    given = os.environ.get("WANDB_INIT_TIMEOUT", str(PATIENCE))
    try:
        return float(given)
    except ValueError:
        raise InputError(f"WANDB_INIT_TIMEOUT is {given!r}, not a number of seconds") from None


def _logged_in() -> bool:
    import wandb

    return bool(os.environ.get("WANDB_API_KEY")) or bool(wandb.login(prompt=False))
