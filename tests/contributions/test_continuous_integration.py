"""Continuous integration runs what CONTRIBUTING.md says: the tests, then `validate` on the committed results, with git's whole history."""

from __future__ import annotations

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_a_pull_request_is_tested_and_its_lines_are_checked() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yaml").read_text(encoding="utf-8"))
    # YAML 1.1 reads the key `on` as true
    assert "pull_request" in workflow[True] and workflow["permissions"] == {"contents": "read"}
    steps = workflow["jobs"]["tests"]["steps"]
    assert [step["run"] for step in steps if "run" in step] == ["make test", ".venv/bin/relbench-harness validate results"]
    assert steps[0]["with"] == {"fetch-depth": 0}
    assert "\ntest:" in (ROOT / "Makefile").read_text(encoding="utf-8") and "relbench-harness validate results" in (
        ROOT / "CONTRIBUTING.md"
    ).read_text(encoding="utf-8")
