"""Methods of the shipped configs made quick, for tests that fit many of them."""

from __future__ import annotations

from typing import Any

from relbench_harness.compose import make_method
from relbench_harness.protocol.method import Method

SMALL: dict[str, Any] = {
    "n_estimators": 12, "ensemble_size": 1, "epochs": 2, "trials": 1, "channels": 16, "steps_per_epoch": 4, "batch_size": 128, "patience": 2,
    "max_tokens": 12, "attention_layers": 1, "windows": 6, "n": 1,
}  # fmt: skip
"""Values for hyperparameters of these names wherever a method's config holds a number there."""


def small(name: str) -> Method:
    """The method of config `name`, made quick."""
    _, config = make_method(name)
    return make_method(name, **_shrunk(config))[0]


def _shrunk(config: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            inner = _shrunk(value)
            if inner:
                found[key] = inner
        elif key in SMALL and isinstance(value, int) and not isinstance(value, bool):
            found[key] = min(value, SMALL[key])
    return found
