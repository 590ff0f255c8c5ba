"""A score that is too good to be true is warned about, with the column that carries it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tournaments import cup

from relbench_harness.authoring.new_task import new_task
from relbench_harness.cli import main


@pytest.mark.thorough
def test_the_column_behind_an_implausible_score_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = cup(tmp_path / "cup", timed_entity=False)
    query = (
        "PREDICT COUNT(squads.*, 0, 1500, days) > 0 FOR EACH players.player "
        "WHERE COUNT(squads.*, -1500, 0, days) > 0 AND COUNT(squads.*, -3000, -1500, days) = 0"
    )
    list(new_task(f"{folder}/plays", query))
    given = ["run", f"task={folder}/plays", "method=xgboost", f"results_dir={tmp_path / 'results'}", "budget.threads=1"]
    assert main(given) == 0
    said = capsys.readouterr().err
    (warning,) = re.findall(r"^relbench-harness: warning: .*$", said, re.M)
    assert "more often a leak than a model: players.count_tournaments alone has" in warning
    assert main([*given[:2], "method=constant", *given[3:]]) == 0
    assert "warning" not in capsys.readouterr().err
