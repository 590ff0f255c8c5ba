"""The command on a page makes the run of the result again: composed, it gives the same configuration, budget, seed and regime."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st

from relbench_harness.compose import Composed, composed, make_guarded
from relbench_harness.protocol.budget import Budget
from relbench_harness.protocol.result import Result
from relbench_harness.site.reproduce import command, literal


def result(method: str, config: dict[str, Any], seed: int = 0, **fields: Any) -> Result:
    given = {"regime": "rolling", "fitted_on": "train", "status": "ok", "metric": "roc_auc", "higher_is_better": True}
    return Result("rel-f1/driver-dnf", "binary_classification", method, config, seed=seed, **{**given, **fields})


def requests(line: str) -> list[Any]:
    words = shlex.split(line)
    assert words[:2] == ["relbench-harness", "run"]
    found = list(composed(words[2:]))
    assert all(isinstance(one, Composed) for one in found), found
    return [one.request()[0] for one in found if isinstance(one, Composed)]


CHANGES: list[tuple[str, dict[str, Any], bool]] = [
    ("constant", {"kind": "mean"}, False),
    ("label_history", {}, True),
    ("xgboost_dfs", {"learning_rate": 0.1, "quantiles": [0.1, 0.9], "l2": 0.0}, True),
    ("xgboost_dfs", {"features": [{"_target_": "relbench_harness.features.entity.Calendar", "returns": 5}]}, False),
]


@pytest.mark.parametrize(("method", "changes", "guarded"), CHANGES)
def test_a_command_composes_to_the_configuration_of_its_result(method: str, changes: dict[str, Any], guarded: bool) -> None:
    config = {**make_guarded(method)[1], **changes}
    if not guarded:
        config.pop("guard", None)
    elif "guard" in config:
        config["guard"] = {**config["guard"], "noise": 2.5}
    budget = {"seconds": 60.0, "threads": 1, "seed": 3, "trials": 20, "device": "cpu", "memory_mb": None}
    fields: dict[str, Any] = {"budget": budget, "fitted_on": "train+val", "isolation": "none"}
    made = requests(command([result(method, config, seed, **fields) for seed in (3, 4)]).line)
    assert [one.budget.seed for one in made] == [3, 4]
    for one in made:
        assert one.config == config and one.name == method
        assert (one.task, one.regime, one.fit_on) == ("rel-f1/driver-dnf", "rolling", "train+val")
        assert one.budget == Budget(seed=one.budget.seed, seconds=60.0, threads=1, device="cpu")


def test_what_stands_around_a_method_is_said_too() -> None:
    for around, setting in (
        ({"answers": "calibrated", "objective": "rmse"}, {}),
        ({"answers": "calibrated", "guard": "none", "objective": "quantile"}, {"quantiles": [0.05, 0.95]}),
    ):
        config = make_guarded("label_history", around)[1]
        config["answers"] = {**config["answers"], **setting}
        (made,) = requests(command([result("label_history", config)]).line)
        assert made.config == config


def test_what_a_command_cannot_say_is_said_beside_it() -> None:
    made = command([result("constant", {**make_guarded("constant")[1], "gone": 1}, seed) for seed in range(25)])
    assert made.notes == ("This version has no setting gone.", "5 more seeds are not named, the last of them 24.")
    (alone,) = command([result("mine; rm -rf /", {})]).notes
    assert "no method 'mine; rm -rf /'" in alone
    assert shlex.split(command([result("mine; rm -rf /", {})]).line)[3] == "method=mine; rm -rf /"


values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False) | st.text("ab'\\ ,[]{}:=$é", max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "_target_"]), inner, max_size=2),
    max_leaves=6,
)  # fmt: skip


@given(values)
@example("aé")
def test_a_literal_is_read_by_hydra_as_what_it_was(value: Any) -> None:
    parsed = OverridesParser.create().parse_override(f"++method.x={literal(value)}").value()
    assert _plain(parsed) == value


def _plain(value: Any) -> Any:
    """What Hydra read, quotes taken off."""
    if isinstance(value, dict):
        return {_plain(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value.text if hasattr(value, "text") else value
