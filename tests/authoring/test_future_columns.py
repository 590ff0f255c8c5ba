"""Columns that know the future are found: totals over all time, on tables that are visible from the start."""

from __future__ import annotations

from pathlib import Path

import pytest
from tournaments import cup

from relbench_harness.authoring.check import check_dataset


@pytest.mark.parametrize("timed_entity", [False, True])
def test_totals_over_all_time_are_found_and_honest_columns_are_not(tmp_path: Path, timed_entity: bool) -> None:
    report = check_dataset(str(cup(tmp_path / "cup", timed_entity)))
    found = {f.where: f for f in report.findings if f.kind == "future-column"}
    assert set(found) == {"players.count_tournaments", "players.list_tournaments", "players.total_goals"}
    assert found["players.count_tournaments"].number == pytest.approx(1.0)
    assert "AUROC 1.000" in found["players.count_tournaments"].what
    assert found["players.count_tournaments"].level == "leak"
