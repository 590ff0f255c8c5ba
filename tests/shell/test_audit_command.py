"""`relbench-harness audit`: the report is printed, stored and counted by `rank`; exit codes say how it went."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from relbench_harness.cli import main

TASK = "task=little-shop/churn"
CHEAT = """
from dataclasses import dataclass
import numpy as np


@dataclass(frozen=True)
class Cheat:
    share: float = 0.1

    def fit(self, train, valid, budget):
        return self

    def predict(self, examples):
        customer = examples.database["orders"].parents("customer")
        return np.bincount(customer[customer >= 0], minlength=1000)[examples.entity] / 1000 * self.share
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with a method that counts rows of the future."""
    package = tmp_path / "site" / "cheating_methods"
    (package / "configs" / "method").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "cheat.py").write_text(CHEAT)
    (package / "configs" / "method" / "cheat.yaml").write_text("_target_: cheating_methods.cheat.Cheat\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setattr("relbench_harness.presets.plugin_folders", lambda what: [package / what])


def board(folder: Path) -> pd.DataFrame:
    assert main(["rank", str(folder)]) == 0
    return pd.read_csv(folder / "leaderboard.csv").set_index("method")


def test_a_report_is_stored_and_counted(
    shop_path: Path, plugin: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "results"
    settings = [TASK, f"results_dir={folder}"]
    for method in ("constant", "label_history", "cheat"):
        assert main(["run", *settings, f"method={method}"]) == 0
    assert set(board(folder)["audited"]) == {"no"} and "audited" not in capsys.readouterr().out
    assert main(["audit", *settings, "method=constant"]) == 0
    shown = capsys.readouterr().out
    assert "future perturbation" in shown and "passed in" in shown
    assert main(["audit", *settings, "method=cheat"]) == 1
    assert "failed in" in capsys.readouterr().out
    stored = json.loads((folder / "audit" / "little-shop__churn" / "cheat" / "frozen.json").read_text())
    assert stored["config"]["share"] == 0.1 and len(stored["code"]) == 32 and len(stored["findings"]) == 6
    assert board(folder)["audited"].to_dict() == {"constant": "yes", "label_history": "no", "cheat": "failed"}
    assert "cheat failed its audit" in capsys.readouterr().out


def test_a_sweep_audits_what_has_no_report(
    shop_path: Path, plugin: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "results"
    sweep = ["audit", "--short", "-m", f"{TASK},little-shop/nothing", f"results_dir={folder}", "budget.threads=1"]
    methods = ["constant", "cheat", "sql_xgboost"]
    assert main([*sweep, f"method={','.join(methods)}"]) == 2
    shown = capsys.readouterr()
    assert shown.err.count("nothing") == len(methods)
    lines = {line.split("  ")[2]: line.split("  ")[3] for line in shown.out.splitlines()}
    assert lines["constant"].startswith("passed") and lines["sql_xgboost"].startswith("not run")
    assert lines["cheat"].startswith("failed") and "future perturbation" in lines["cheat"]
    page = (folder / "audit" / "README.md").read_text()
    assert [line.split(" | ")[1].rstrip(" |") for line in page.splitlines() if line[2:].split(" | ")[0] in ("cheat", "constant")] == [
        "failed", "passed",
    ]  # fmt: skip
    assert "no hand-written features" in page.replace("\\", "")
    stored = {path: path.read_bytes() for path in folder.rglob("*.json")}
    assert len(stored) == 3
    assert main([*sweep[:3], TASK, *sweep[4:], "method=constant,cheat", "regime=frozen"]) == 1
    assert capsys.readouterr().out.count("there already") == 2
    assert {path: path.read_bytes() for path in folder.rglob("*.json")} == stored


def test_a_report_counts_however_long_the_method_learned(shop_path: Path, tmp_path: Path) -> None:
    """The published audits lie in the folder `audit` beside that of a board."""
    folder = tmp_path / "results"
    settings = [TASK, "method=lightgbm_simple", "budget.threads=1", "isolation=none"]
    assert main(["audit", "--short", *settings, f"results_dir={folder}"]) == 0
    stored = json.loads((folder / "audit" / "little-shop__churn" / "lightgbm_simple" / "frozen.json").read_text())
    assert stored["config"]["n_estimators"] == 20 and stored["examples"]["training"] <= 400
    assert main(["run", *settings, f"results_dir={folder / 'board'}"]) == 0
    assert main(["run", *settings, f"results_dir={folder / 'board'}", "method.num_leaves=8"]) == 0
    assert main(["run", *settings, f"results_dir={folder / 'board'}", "fit_on=train+val"]) == 0
    assert main(["rank", str(folder / "board")]) == 0
    found = pd.read_csv(folder / "board" / "leaderboard.csv")
    assert sorted(found["audited"]) == ["no", "no", "yes"]
    assert found.loc[found["audited"] == "yes", "fitted_on"].tolist() == ["train"]


@pytest.mark.thorough
def test_other_settings_are_not_audited(shop_path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    settings = [TASK, "method=label_history", f"results_dir={folder}"]
    assert main(["audit", *settings, "regime=rolling"]) == 0
    assert main(["run", *settings]) == 0
    assert board(folder)["audited"].tolist() == ["no"]
    assert main(["run", *settings, "regime=rolling", "method.windows=3"]) == 0
    assert main(["run", *settings, "regime=rolling", "seed=1"]) == 0
    found = pd.read_csv(folder / "leaderboard.csv") if main(["rank", str(folder)]) == 0 else pd.DataFrame()
    assert sorted(found["audited"]) == ["no", "no", "yes"]


def test_a_damaged_report_is_named_and_passed_over(
    shop_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "results"
    assert main(["run", TASK, "method=constant", f"results_dir={folder}"]) == 0
    (folder / "audit" / "little-shop__churn" / "constant").mkdir(parents=True)
    (folder / "audit" / "little-shop__churn" / "constant" / "frozen.json").write_text("{")
    assert board(folder)["audited"].tolist() == ["no"]
    assert "no audit report" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([TASK, "method=constnt"], "did you mean 'constant'"),
        (["task=little-shop/chrn", "method=constant"], "did you mean 'churn'"),
        ([TASK, "method=constant", "sed=1"], "no key 'sed'"),
        ([TASK, "method=constant", "regime=warm"], "no regime 'warm'"),
        (["method=constant"], "no task given"),
        ([TASK, "method=constant", "--shrt"], "audit has no option '--shrt'; did you mean '--short'"),
        ([TASK, "method=constant,label_history"], "several values"),
        ([TASK, "method=constant", "results_dir="], "results_dir is empty"),
        ([TASK, "method=sql_xgboost"], "no hand-written features"),
    ],
)
def test_bad_input_is_one_sentence(
    shop_path: Path, tmp_path: Path, given: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = given if any(one.startswith("results_dir") for one in given) else [*given, f"results_dir={tmp_path}"]
    assert main(["audit", *settings]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
