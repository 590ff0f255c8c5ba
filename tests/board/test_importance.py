"""What a method looks at, as a file beside its results: read as written, and refused with its name where it is something else."""

from __future__ import annotations

from math import isnan, nan
from pathlib import Path

import pytest

from relbench_harness.board.importance import Agreement, Importance, Weighed, read_importances, write_importance
from relbench_harness.errors import InputError

FOUND = Importance(
    "house/churn", "a/b <i>", "frozen", 12, {"ablation": "roc_auc"}, {"ablation": (Weighed("column", "orders.é", 0.5, 0.1, 0.0, 0.2),)},
    (Agreement("table", ("ablation", "gradients"), -0.25, 4),), (2, 0.5, 0.25, 0.75),
)  # fmt: skip


def test_it_is_read_as_it_was_written_and_the_last_stands(tmp_path: Path) -> None:
    write_importance(Importance("house/churn", "a/b <i>", "rolling", 1, {}, {}, ()), tmp_path)
    path = write_importance(FOUND, tmp_path)
    assert path.is_relative_to(tmp_path / "explain") and path.stat().st_size < 1000
    assert read_importances(tmp_path, pytest.fail) == [FOUND]
    unknown = Weighed("table", "orders", 1.0, nan, nan, nan)
    again = Importance.from_json(Importance("a/b", "m", "frozen", 1, {}, {"ablation": (unknown,)}, ()).to_json(), "it")
    assert isnan(again.parts["ablation"][0].low) and again.as_sql is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 9}', '{"schema": 1, "task": "a/b"}', "null", "\udcff"])
def test_what_is_something_else_is_named(tmp_path: Path, text: str) -> None:
    path = write_importance(FOUND, tmp_path)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    faults: list[InputError] = []
    assert read_importances(tmp_path, faults.append) == []
    assert len(faults) == 1 and str(path) in str(faults[0])
