"""RelBench Harness: benchmark and evaluation harness for machine learning on relational databases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relbench_harness.board.leaderboard import leaderboard
    from relbench_harness.notebook import open_task, run

__all__ = ["leaderboard", "open_task", "run"]


def __getattr__(name: str) -> Any:
    """Loads the notebook interface on first use, so that `import relbench_harness` is instant."""
    if name == "leaderboard":
        from relbench_harness.board.leaderboard import leaderboard

        return leaderboard
    if name in __all__:
        from relbench_harness import notebook

        return getattr(notebook, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
