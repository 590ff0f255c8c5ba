"""RelBench Harness: benchmark and evaluation harness for machine learning on relational databases.

The public names are those of `__all__`. Each is loaded on first use, so that `import relbench_harness` is instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relbench_harness import plot
    from relbench_harness.comparing import Comparison, compare
    from relbench_harness.errors import InputError
    from relbench_harness.explaining.notebook import Explained, explain_model
    from relbench_harness.notebook import Finished, Model, OpenTask, leaderboard, load_model, open_task, run
    from relbench_harness.protocol.method import Budget
    from relbench_harness.protocol.result import Result
    from relbench_harness.trial.notebook import Tried, try_database

__all__ = [
    "Budget",
    "Comparison",
    "Explained",
    "Finished",
    "InputError",
    "Model",
    "OpenTask",
    "Result",
    "Tried",
    "compare",
    "explain_model",
    "leaderboard",
    "load_model",
    "open_task",
    "plot",
    "run",
    "try_database",
]

_HOMES = {
    "Budget": "relbench_harness.protocol.method",
    "Comparison": "relbench_harness.comparing",
    "compare": "relbench_harness.comparing",
    "Explained": "relbench_harness.explaining.notebook",
    "explain_model": "relbench_harness.explaining.notebook",
    "InputError": "relbench_harness.errors",
    "Result": "relbench_harness.protocol.result",
    "Tried": "relbench_harness.trial.notebook",
    "try_database": "relbench_harness.trial.notebook",
}
"""The modules of public names that are not the notebook's own."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "plot":
        return import_module("relbench_harness.plot")
    return getattr(import_module(_HOMES.get(name, "relbench_harness.notebook")), name)


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
