"""Where else a result is logged: nowhere, or at Weights & Biases. The stored result line is never changed by a tracker."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from relbench_harness.errors import InputError, nearest, sentence

if TYPE_CHECKING:
    from relbench_harness.protocol.result import Result

PATIENCE = 30.0
"""Seconds to wait for W&B before it counts as down, unless $WANDB_INIT_TIMEOUT says otherwise."""

MODES = ("online", "offline", "disabled", "shared", "dryrun", "run")
"""What W&B takes, its old names included."""


class Tracker(Protocol):
    def log(self, result: Result) -> None: ...


@dataclass(frozen=True)
class NoTracker:
    """Logs nowhere."""

    def log(self, result: Result) -> None:
        return


@dataclass(frozen=True)
class WeightsAndBiases:
    """One W&B run per result: its hyperparameters as config, its scores and seconds as summary.

    Attributes:
        mode: `online`, `offline` or `disabled`; None leaves it to W&B (`WANDB_MODE`).
        dir: Folder for W&B's own files.
    """

    project: str = "relbench-harness"
    entity: str | None = None
    mode: Literal["online", "offline", "disabled"] | None = None
    dir: str = "."

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

    def _log(self, result: Result) -> None:
        import wandb

        Path(self.dir).mkdir(parents=True, exist_ok=True)
        run = wandb.init(
            project=self.project,
            entity=self.entity,
            mode=self.mode,
            dir=self.dir,
            group=result.task,
            job_type=result.regime,
            name=f"{result.method}-{result.seed}",
            tags=[result.method, result.regime, result.status],
            config=self._config(result),
            reinit="finish_previous",
            settings=wandb.Settings(silent=True, console="off", init_timeout=_patience()),
        )
        summary: dict[str, Any] = {"status": result.status, "peak_memory_mb": result.peak_memory_mb}
        for split, scores in result.scores.items():
            summary |= {f"{split}/{name}": value for name, value in scores.items()}
        summary |= {f"seconds/{name}": value for name, value in result.seconds.items()}
        run.log(summary)
        run.finish(exit_code=0 if result.ok else 1)

    @staticmethod
    def _config(result: Result) -> dict[str, Any]:
        named = ("task", "task_type", "method", "seed", "regime", "fitted_on", "commit", "dataset_fingerprint")
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
