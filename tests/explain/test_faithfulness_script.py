"""The script that measures explanations goes on where it stopped, and says of a difference no more than its interval does."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from relbench_harness.explain.explanation import Amount, Explanation, Part

SCRIPT = Path(__file__).parents[2] / "docs" / "faithfulness.py"


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def test_what_has_a_line_is_not_measured_again(
    script: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def measured(task: str, method: str) -> dict[str, object]:
        made.append(task)
        if made == ["b", "a"]:
            raise KeyboardInterrupt
        return {"score": 0.5}

    studies = {"faithfulness": ([("b", "x"), ("a", "x"), ("c", "y")], measured)}
    monkeypatch.setitem(script["measure"].__globals__, "STUDIES", studies)
    with pytest.raises(KeyboardInterrupt):
        script["measure"](tmp_path, "faithfulness")
    script["measure"](tmp_path, "faithfulness")
    script["measure"](tmp_path, "faithfulness")
    assert made == ["b", "a", "a", "c"]
    assert [one["run"] for one in script["lines"](tmp_path, "faithfulness")] == [["b", "x"], ["a", "x"], ["c", "y"]]


@pytest.mark.parametrize(
    ("measure", "low", "high", "sign"),
    [
        ("deletion", 0.1, 0.2, "+"),
        ("deletion", -0.2, -0.1, "−"),
        ("deletion", -0.1, 0.2, ""),
        ("insertion", 0.1, 0.2, "−"),
        ("insertion", -0.2, -0.1, "+"),
        ("unfaithfulness", 0.0, 0.1, ""),
    ],
)
def test_a_sign_stands_where_an_interval_leaves_out_zero(
    script: dict[str, Any], measure: str, low: float, high: float, sign: str
) -> None:
    assert script["sign"](measure, {"low": low, "high": high}) == sign


def test_the_rank_of_a_cause_is_that_of_the_best_of_its_parts(script: dict[str, Any]) -> None:
    parts = [Part("column", table="t", column=name) for name in "abc"]
    values = [(0.1, 0.9), (0.3, 0.2), (0.2, 0.5)]
    amounts = tuple(Amount(part, value, effect=effect) for part, (value, effect) in zip(parts, values, strict=True))
    found = script["ranked"](Explanation("model", "ablation", "roc_auc", amounts), "column", ("t.b", "t.c"))
    assert found == {"effect": 2, "loss": 1, "first": "t.a", "parts": 3}


def test_contributions_have_a_rank_without_an_effect(script: dict[str, Any]) -> None:
    parts = [Part("column", table="t", column=name) for name in ("a", None, "c")]
    amounts = tuple(Amount(part, value) for part, value in zip(parts, (0.1, 0.3, 0.2), strict=True))
    found = script["ranked"](Explanation("model", "contributions", "margin", amounts), "column", ("t.a", "t.c", "t.d"))
    assert found == {"effect": 2, "loss": 2, "first": "rows of t", "parts": 3}
    nothing = script["ranked"](Explanation("model", "contributions", "margin", amounts), "column", ("t.d",))
    assert nothing["loss"] == 4
